/**
 * Data URLs as their writers wrote them, by what was cut from them. To put a picture of a megabyte
 * together anew would copy it, and to compare the copy with what the client sent would read both.
 */
const written = new WeakMap<object, string>();

type DataSource = { readonly kind: 'data'; readonly data: string };

/** The source of the data behind the first comma of `url`. */
export function dataSource(url: string, comma: number): DataSource {
  const source: DataSource = { kind: 'data', data: url.slice(comma + 1) };
  written.set(source, url);
  return source;
}

/** The data URL of a source, the very text that it was cut from where that says the same. */
export function dataUrlOf(source: DataSource, mimeType: string): string {
  const head = `data:${mimeType};base64,`;
  const url = written.get(source);
  return url?.length === head.length + source.data.length && url.startsWith(head)
    ? url
    : head + source.data;
}
