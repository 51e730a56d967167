/**
 * Gets the other programs without touching the machine: Debian packages are unpacked beside the
 * cache, not installed; npm and pip packages go into folders of their own. What cannot be had is
 * said aloud and left out of the table.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const portkeyVersion = '1.15.2';
const portkeyServerVersion = '1.13.8';
const litellmVersion = '1.108.7';
const debianPackages = {
  nginx: ['nginx'],
  haproxy: ['haproxy', 'liblua5.3-0', 'libopentracing1', 'libopentracing-c-wrapper0'],
  strace: ['strace', 'libunwind8'],
} as const;

export type Program = {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
};
/** A program, or the reason why there is none. */
export type Found = Program | { readonly missing: string };

/** The machine's own program, else Debian's package unpacked under `folder`. */
export function debianProgram(name: keyof typeof debianPackages, folder: string): Found {
  const own = ['/usr/sbin', '/usr/local/sbin', '/usr/bin']
    .map((place) => path.join(place, name))
    .find(existsSync);
  if (own !== undefined) return { command: [own], environment: {} };
  const home = path.join(folder, 'debian', name);
  const rootFolder = path.join(home, 'root');
  const files = ['sbin', 'bin'].map((place) => path.join(rootFolder, 'usr', place, name));
  try {
    if (!files.some(existsSync)) unpackDebian(home, rootFolder, debianPackages[name]);
  } catch (error) {
    return { missing: `apt-get download failed: ${firstLine(error)}` };
  }
  const file = files.find(existsSync);
  if (file === undefined) return { missing: 'Debian has no such package here' };
  const library = path.join(rootFolder, 'usr', 'lib');
  const libraries = existsSync(library)
    ? readdirSync(library).map((each) => path.join(library, each))
    : [];
  return { command: [file], environment: { LD_LIBRARY_PATH: libraries.join(':') } };
}

function unpackDebian(folder: string, rootFolder: string, packages: readonly string[]): void {
  mkdirSync(rootFolder, { recursive: true });
  execFileSync('apt-get', ['download', ...packages], { cwd: folder, stdio: 'pipe' });
  for (const name of readdirSync(folder).filter((each) => each.endsWith('.deb'))) {
    execFileSync('dpkg-deb', ['-x', path.join(folder, name), rootFolder], { stdio: 'pipe' });
  }
}

/**
 * Portkey's gateway from npm, in a folder of its own. `@hono/node-server` is held back: from a later
 * version on, a response made from a fetched one shares its headers, which cannot be changed, and
 * Portkey 1.15.2 answers every stream with 500 ("TypeError: immutable").
 */
export function portkey(folder: string): Found {
  const home = path.join(folder, 'portkey');
  const modules = path.join(home, 'node_modules');
  const file = path.join(modules, '@portkey-ai', 'gateway', 'build', 'start-server.js');
  const wanted = JSON.stringify({
    private: true,
    dependencies: { '@portkey-ai/gateway': portkeyVersion },
    overrides: { '@hono/node-server': portkeyServerVersion },
  });
  const list = path.join(home, 'package.json');
  try {
    if (!existsSync(file) || readFileSync(list, 'utf8') !== wanted) {
      rmSync(home, { recursive: true, force: true });
      mkdirSync(home, { recursive: true });
      writeFileSync(list, wanted);
      const words = ['install', '--ignore-scripts', '--no-audit', '--no-fund'];
      execFileSync('npm', words, { cwd: home, stdio: 'pipe' });
    }
  } catch (error) {
    return { missing: `npm install failed: ${firstLine(error)}` };
  }
  return { command: [process.execPath, file], environment: { NODE_ENV: 'production' } };
}

/** LiteLLM's proxy from PyPI, in a virtual environment of its own. */
export function litellm(folder: string): Found {
  const home = path.join(folder, 'litellm');
  const file = path.join(home, 'bin', 'litellm');
  try {
    if (!existsSync(file)) {
      execFileSync('python3', ['-m', 'venv', home], { stdio: 'pipe' });
      const words = ['install', '--quiet', `litellm[proxy]==${litellmVersion}`];
      execFileSync(path.join(home, 'bin', 'pip'), words, { stdio: 'pipe' });
    }
  } catch (error) {
    return { missing: `pip install failed: ${firstLine(error)}` };
  }
  return { command: [file], environment: {} };
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split('\n').slice(0, 2).join(' ');
}
