import { parseJsonObject, type JsonObject } from '#std';

/** What a program printed: one object over many lines, or one on each; other lines are left out. */
export function objectsOf(output: string): readonly JsonObject[] {
  const whole = parseJsonObject(output);
  if (whole) return [whole];
  return output.split('\n').flatMap((line): readonly JsonObject[] => {
    const object = parseJsonObject(line);
    return object ? [object] : [];
  });
}
