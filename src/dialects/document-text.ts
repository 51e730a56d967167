import type { MediaPart } from '#canonical';

/** A plain text document as a text, for upstreams that have no place for one: its name stays with it. */
export function documentText(part: MediaPart, text: string): string {
  const title = part.title ?? part.filename;
  return title === undefined
    ? text
    : `<document title=${JSON.stringify(title)}>\n${text}\n</document>`;
}
