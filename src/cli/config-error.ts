/** What is wrong with a configuration or a command line, in words that are ready for the terminal. */
export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ConfigError';
  }
}

export type Environment = { readonly [name: string]: string | undefined };
