/**
 * Whether the text of a call's arguments, or the first piece of it, says that there are none: `null`
 * and `{}`. As a first piece it may be a placeholder that other pieces follow.
 */
export function saysNoArguments(text: string): boolean {
  return /^\s*(?:null|\{\s*\})\s*$/.test(text);
}
