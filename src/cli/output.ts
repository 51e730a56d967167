import { printable } from '#std';

/** Where commands write: the terminal, or an array in tests. */
export type Output = { line(text: string): void; error(text: string): void };

/** Names and models are written by others: what they hold must not give orders to the terminal. */
export const terminal: Output = {
  line: (text) => console.log(printable(text)),
  error: (text) => console.error(printable(text)),
};
