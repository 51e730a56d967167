/** What keeps a program from starting, in words: folders, ports, databases. */

import { accessSync, constants, existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { MissingDatabaseError, NewerDatabaseError } from '#store';
import { ConfigError } from './config-error.ts';

/** Whether somebody could listen there. Throws {@link ConfigError} with the remedy when not. */
export async function checkPort(host: string, port: number): Promise<void> {
  const probe = createServer();
  try {
    await new Promise<void>((done, refuse) => {
      probe.once('error', refuse);
      probe.listen(port, host, done);
    });
  } catch (error) {
    throw portError(error, host, port);
  }
  await new Promise((done) => probe.close(done));
}

function portError(error: unknown, host: string, port: number): unknown {
  const free = port < 1_024 ? 8_081 : port + 1;
  switch (codeOf(error)) {
    case 'EADDRINUSE':
      return new ConfigError(
        `${host}:${port} is in use, perhaps by a Manifold that runs already. Stop that program, or take another port: PORT=${free} npm start.`,
      );
    case 'EACCES':
      return new ConfigError(
        `${host}:${port}: this user may not listen on a port below 1024. Take a higher one, such as PORT=8080, behind a reverse proxy.`,
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EINVAL':
      return new ConfigError(
        `\`${host}\` is no address of this machine. Write 127.0.0.1 for this machine only, 0.0.0.0 or :: for all its addresses.`,
      );
    default:
      return error;
  }
}

/** What a failure to open the data folder or the database means. Other errors come back unchanged. */
export function dataError(
  error: unknown,
  folder: string,
  databaseUrl: string | undefined,
): unknown {
  const place = databaseUrl === undefined ? `in ${folder}` : `at ${withoutPassword(databaseUrl)}`;
  if (error instanceof NewerDatabaseError) {
    return new ConfigError(
      `The database ${place} was last used by a newer Manifold, and this one does not know its tables. Start that version or a later one, or restore a backup from before.`,
    );
  }
  if (error instanceof MissingDatabaseError) {
    return new ConfigError(
      `${error.path} is missing, but files that belong to it are there: ${error.leftOver.join(', ')}. Put it back, or a backup in its place. To begin with empty books, move those files away.`,
    );
  }
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  if (databaseUrl !== undefined && isUnreachable(cause)) {
    return new ConfigError(
      `The database ${place} cannot be used: ${wordsOf(cause)}. Check that it runs, its address, and its user in DATABASE_URL.`,
    );
  }
  switch (codeOf(cause)) {
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
    case 'ENOENT':
    case 'ENOTDIR':
    case 'EEXIST':
      return unusable(folder, cause);
    case 'ENOSPC':
      return noSpace(folder);
    case 'ERR_SQLITE_ERROR':
      if (resultOf(cause) === full) return noSpace(folder);
      if (isOfTheFolder.has(resultOf(cause) ?? 0)) return unusable(folder, cause);
      if (resultOf(cause) === inputOutput) return diskError(folder, cause);
      return new ConfigError(
        `The database in ${folder} cannot be used: ${wordsOf(cause)}. Keep the file, and start with a backup or another folder: MANIFOLD_DATA=FOLDER.`,
      );
    default:
      return error;
  }
}

function noSpace(folder: string): ConfigError {
  return new ConfigError(`There is no space left for the data folder ${folder}. Free some.`);
}

function diskError(folder: string, cause: unknown): ConfigError {
  return new ConfigError(
    `The disk of the data folder ${folder} refuses (${wordsOf(cause)}). Look whether it has space left and is sound.`,
  );
}

function unusable(folder: string, cause: unknown): ConfigError {
  const why = refusalOf(existingPart(folder)) ?? cause;
  const remedy = codeOf(why) === 'EROFS' ? 'Mount it for writing' : 'Change its owner';
  return new ConfigError(
    `The data folder ${folder} cannot be used: ${wordsOf(why)}. ${remedy}, or choose another: MANIFOLD_DATA=FOLDER.`,
  );
}

/** The folder, or where it is not there the nearest one that is. */
export function existingPart(folder: string): string {
  const parent = dirname(folder);
  return existsSync(folder) || parent === folder ? folder : existingPart(parent);
}

/** Of a file system that may only be read, Node says that a new folder is missing, and SQLite that it cannot open. */
function refusalOf(folder: string): unknown {
  try {
    accessSync(folder, constants.W_OK);
    return undefined;
  } catch (error) {
    return error;
  }
}

/** SQLITE_FULL: nothing is wrong with the file. */
const full = 13;
/** SQLITE_IOERR: also of a full disk, where SQLite maps its shared memory. */
const inputOutput = 10;
/** SQLITE_PERM, SQLITE_READONLY and SQLITE_CANTOPEN: nor with these, it may only not be written. */
const isOfTheFolder: ReadonlySet<number> = new Set([3, 8, 14]);

/** SQLite's result without what refines it. */
function resultOf(error: unknown): number | undefined {
  const code = error instanceof Error && 'errcode' in error ? error.errcode : undefined;
  return typeof code === 'number' ? code & 0xff : undefined;
}

/** Failures of the connection and of PostgreSQL itself, whose codes have five characters. */
function isUnreachable(error: unknown): boolean {
  return /^(E[A-Z]{4,}|[0-9A-Z]{5})$/.test(codeOf(error) ?? '') && codeOf(error) !== 'ENOSPC';
}

function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message.replace(/\.$/, '') : String(error);
}

function withoutPassword(databaseUrl: string): string {
  const url = URL.parse(databaseUrl);
  return url === null ? 'DATABASE_URL' : `${url.host}${url.pathname}`;
}
