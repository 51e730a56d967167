import type { ChatQuirks } from './quirks.ts';

/**
 * Ids of tool calls in the form that an upstream takes. Deterministic, so that the same history is
 * encoded alike in every request (prompt caches live on that), and one to one within a request, so
 * that calls and results still find each other. One mapping serves one request.
 */
export function createToolIdMapping(form: ChatQuirks['toolIdForm']): (id: string) => string {
  if (form === 'any') return (id) => id;
  const accepted = form === 'alphanumeric-9' ? /^[a-zA-Z0-9]{9}$/ : /^.{1,64}$/s;
  const mapped = new Map<string, string>();
  const taken = new Set<string>();
  return (id) => {
    const known = mapped.get(id);
    if (known !== undefined) return known;
    let made = id;
    for (let attempt = 0; !accepted.test(made) || taken.has(made); attempt += 1) {
      const digest = shortDigest(attempt === 0 ? id : `${id}#${attempt}`);
      made = form === 'alphanumeric-9' ? digest : `call_${digest}`;
    }
    mapped.set(id, made);
    taken.add(made);
    return made;
  };
}

const digestModulus = 36n ** 9n;

/** Nine characters of a-z and 0-9 from FNV-1a (64 bit): short, pure, and good enough to tell ids apart. */
export function shortDigest(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (let index = 0; index < text.length; index += 1) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(text.charCodeAt(index))) * 0x100000001b3n);
  }
  return (hash % digestModulus).toString(36).padStart(9, '0');
}
