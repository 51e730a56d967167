/** Control characters besides line break and tab, what counts as a line break elsewhere, and what turns the direction of text. */
const unsafe = /(?![\n\t])[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu;

/** Text that a terminal shows as it is: what would move its cursor or deceive the eye stands as in JSON, `\u001b`. */
export function printable(text: string): string {
  return text.replace(
    unsafe,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
