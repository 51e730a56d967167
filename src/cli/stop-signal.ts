import { isatty } from 'node:tty';

/** What only asks to stop: a closing terminal sends SIGHUP, and systemd may send it behind a SIGTERM. */
const mild = ['SIGHUP'] as const;
/** A second one of these means that there is no time. */
const urgent = { SIGINT: 130, SIGTERM: 143 } as const;

/**
 * Resolves at the first SIGINT, SIGTERM or, from its terminal, SIGHUP; a SIGINT or SIGTERM after it ends the process at
 * once.
 */
export function stopSignal(): Promise<void> {
  const atTerminal = hasTerminal();
  return new Promise((resolveSignal) => {
    let isStopping = false;
    const stop = (): void => {
      isStopping = true;
      resolveSignal();
    };
    for (const signal of mild) process.on(signal, atTerminal ? stop : () => {});
    for (const [signal, code] of Object.entries(urgent))
      process.on(signal, () => (isStopping ? process.exit(code) : stop()));
  });
}

/**
 * Node does not keep what `nohup` asks for, that SIGHUP be ignored. But `nohup` also takes away the terminal, as service
 * managers do; and whoever has none has none that could close.
 */
function hasTerminal(): boolean {
  return [0, 1, 2].some((descriptor) => isatty(descriptor));
}

/** Leaves it to another process to say what the signals mean that a terminal sends to all of them. */
export function ignoreStopSignals(): void {
  for (const signal of [...mild, ...Object.keys(urgent)]) process.on(signal, () => {});
}

/** Whoever read what this process says may be gone, with the terminal or the pipe: it works on without a word. */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
}
