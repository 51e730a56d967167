#!/usr/bin/env node
/**
 * The front door: makes the program runnable on a machine that has git and any Node from 20 on,
 * then starts it in place.
 *
 *   bootstrap.mjs serve --port 8080     every word of the command line goes to the program
 *   bootstrap.mjs --run check           runs tools/check.ts with the development dependencies
 *   bootstrap.mjs --run test/soak.ts    runs a script by its path
 *   bootstrap.mjs --prepare [--dev]     installs and stops (for images and for CI caches)
 *
 * This file is plain JavaScript because it must run before anything is installed. A start that
 * finds everything in place looks at the times of the sources and hashes the lock file; npm is not
 * started.
 */
import nodeModule from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

// An `import` loads everything that a module of Node's might lend: ten milliseconds for these two.
const require = nodeModule.createRequire(import.meta.url);
const { createHash } = require('node:crypto');
const { existsSync, readdirSync, readFileSync, statSync } = require('node:fs');

/** The Node that runs the program when the machine's own is older than `nodeMajorMin`. */
const nodeVersion = '24.21.0';
const nodeMajorMin = 24;

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const modules = path.join(root, 'node_modules');
/** What we make ourselves stays here: npm clears its own folder whenever it installs. */
const cache = path.join(root, '.cache');

/** What must be in place: `production` is enough to serve, `all` adds the development tools. */
const setup = {
  root,
  modules,
  stampFile: path.join(modules, '.manifold-stamp'),
  nodeHome: path.join(cache, 'node', nodeVersion),
  nodeVersion,
  nodeFile,
  machineNodeIsEnough,
  lockHash,
  dependenciesAreReady,
};

function machineNodeIsEnough() {
  return Number(process.versions.node.split('.')[0]) >= nodeMajorMin;
}

/** The executable that runs the program; it may not exist yet. */
function nodeFile() {
  if (machineNodeIsEnough()) return process.execPath;
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  const executable = process.platform === 'win32' ? 'node.exe' : 'node';
  const name = `node-${platform}-${process.arch}`;
  return path.join(setup.nodeHome, 'node_modules', name, 'bin', executable);
}

let knownLockHash;

function lockHash() {
  if (knownLockHash === undefined) {
    const lock = readFileSync(path.join(root, 'package-lock.json'));
    knownLockHash = createHash('sha256').update(lock).digest('hex');
  }
  return knownLockHash;
}

/** @param {'production' | 'all'} scope */
function dependenciesAreReady(scope) {
  let stamp;
  try {
    stamp = readFileSync(setup.stampFile, 'utf8').trim().split(' ');
  } catch {
    return false;
  }
  return stamp[0] === lockHash() && (stamp[1] === 'all' || stamp[1] === scope);
}

/** @param {'production' | 'all'} scope */
async function prepare(scope) {
  if (dependenciesAreReady(scope) && existsSync(nodeFile())) return;
  const { install } = await import('./install.mjs');
  await install(setup, scope);
}

/** Another name whenever a source, a dependency or the place of the checkout is another. */
function bundleFolder() {
  const seen = [root, lockHash()];
  // Node's own way through a tree takes longer, and so do its objects for entries and joined paths.
  const look = (file) => {
    const stat = statSync(file);
    if (!stat.isDirectory()) seen.push(file, stat.size, stat.mtimeMs);
    else {
      for (const name of readdirSync(file)) {
        if (!name.endsWith('.test.ts')) look(file + path.sep + name);
      }
    }
  };
  look(path.join(root, 'tools', 'bundle.mjs'));
  look(path.join(root, 'tools', 'loader.cjs'));
  look(path.join(root, 'src'));
  const name = createHash('sha256').update(seen.join('\n')).digest('hex').slice(0, 32);
  return path.join(cache, 'program', name);
}

/** What is started: the bundle of the sources, made now if need be, or else the sources themselves. */
async function programFile() {
  try {
    const folder = bundleFolder();
    const file = path.join(folder, 'main.cjs');
    if (existsSync(file)) return file;
    const { makeBundle } = await import('./bundle.mjs');
    await makeBundle({ root, folder });
    return file;
  } catch {
    // A checkout that may only be read, or a machine without the bundler: only slower to start.
    return path.join(root, 'src', 'main.ts');
  }
}

/** Node keeps compiled code between starts; without a writable place it just does not. */
function environment(extraPath) {
  const compileCache = path.join(cache, 'compile');
  const env = { NODE_COMPILE_CACHE: compileCache, ...process.env };
  if (extraPath === undefined) return env;
  const inherited = process.env.PATH === undefined ? [] : [process.env.PATH];
  return { ...env, PATH: [...extraPath, ...inherited].join(path.delimiter) };
}

/** The Node that runs is the right one: starting it once more would cost as much again. */
async function continueAs(program) {
  nodeModule.enableCompileCache(process.env.NODE_COMPILE_CACHE ?? path.join(cache, 'compile'));
  process.argv[1] = program;
  if (program.endsWith('.cjs')) require(program);
  else await import(pathToFileURL(program).href);
}

/** Becomes the program: the same process where the platform can, otherwise a child. */
async function become(file, programArguments, env) {
  if (process.execve !== undefined && process.platform !== 'win32') {
    process.execve(file, [file, ...programArguments], env);
  }
  const { spawn } = await import('node:child_process');
  const child = spawn(file, programArguments, { stdio: 'inherit', env });
  passSignals(child);
  child.once('error', (error) => fail(`${file} does not start: ${error.message}`));
  child.once('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/** A terminal sends Ctrl-C to the whole group; passing it on again would count as a second one. */
function passSignals(child) {
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2']) {
    process.on(signal, () => child.kill(signal));
  }
  const terminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  process.on('SIGINT', () => {
    if (!terminal) child.kill('SIGINT');
  });
}

function fail(message) {
  process.stderr.write(`manifold: ${message}\n`);
  process.exit(1);
}

function scriptFile(name) {
  if (name === undefined) fail('--run needs the name of a script in tools/, for example: check');
  const file = name.endsWith('.ts')
    ? path.resolve(root, name)
    : path.join(root, 'tools', `${name}.ts`);
  if (!existsSync(file)) fail(`there is no script ${path.relative(root, file)}`);
  return file;
}

async function main() {
  const [first, second, ...rest] = process.argv.slice(2);
  if (Number(process.versions.node.split('.')[0]) < 20) {
    fail(`Node ${process.versions.node} is too old: Node 20 or newer is needed to begin`);
  }
  if (first === '--prepare') {
    await prepare(second === '--dev' ? 'all' : 'production');
    await programFile();
    return;
  }
  if (first !== '--run') {
    await prepare('production');
    const program = await programFile();
    if (machineNodeIsEnough()) return continueAs(program);
    return become(nodeFile(), [program, ...process.argv.slice(2)], environment());
  }
  const script = scriptFile(second);
  await prepare('all');
  process.chdir(root);
  const extraPath = [path.dirname(nodeFile()), path.join(modules, '.bin')];
  return become(nodeFile(), [script, ...rest], environment(extraPath));
}

main().catch((error) => fail(error.message));
