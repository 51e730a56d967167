/** Where commands write: the terminal, or an array in tests. */
export type Output = { line(text: string): void; error(text: string): void };

export const terminal: Output = {
  line: (text) => console.log(text),
  error: (text) => console.error(text),
};
