/**
 * Runs `program.cjs` beside it with code that V8 compiled for an earlier start. Node's own cache of
 * compiled code is filled before a module has run, so it lacks every function that is compiled when
 * first called, and compiling those again was a quarter of a start.
 *
 * `bundle.mjs` puts this file into each copy of the program, where it is called `main.cjs`.
 */
'use strict';

const { readFileSync, renameSync, rmSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { setFlagsFromString } = require('node:v8');
const { constants, Script } = require('node:vm');

/** By then a server has usually answered, so that the functions of an answer are kept as well. */
const keepAfterMs = 60_000;

const programFile = join(__dirname, 'program.cjs');
/** Each kind of process calls other functions; the mark is that of src/cli/worker-mark.ts. */
const isWorker = process.env.MANIFOLD_IS_WORKER !== undefined;
const kind = isWorker ? 'worker' : process.argv[2] === 'serve' ? 'serve' : 'command';
const codeFile = join(__dirname, `${kind}.code`);

function compiledCode() {
  try {
    return readFileSync(codeFile);
  } catch {
    return undefined;
  }
}

/**
 * Whole or not at all. A folder that may not be written only makes every start a slow one.
 *
 * @param {Script} script
 */
function keepCode(script) {
  const unfinished = `${codeFile}-${process.pid}`;
  try {
    writeFileSync(unfinished, script.createCachedData(), { flush: true });
    renameSync(unfinished, codeFile);
  } catch {
    rmSync(unfinished, { force: true });
  }
}

function run() {
  const cachedData = compiledCode();
  // What esbuild writes is ASCII, and a string of bytes needs no decoding.
  const source = readFileSync(programFile, 'latin1');
  const script = new Script(`(function (module, exports, require) {${source}\n})`, {
    filename: programFile,
    cachedData,
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  if (cachedData === undefined || script.cachedDataRejected) keepLater(script);
  const program = /** @type {(...names: object[]) => void} */ (script.runInThisContext());
  program(module, exports, require);
}

/** @param {Script} script */
function keepLater(script) {
  // A busy server would drop the code of its start before it is kept. The flags must be the usual
  // ones at that moment, because V8 compares them.
  setFlagsFromString('--no-flush-bytecode');
  let isKept = false;
  const keep = () => {
    if (isKept) return;
    isKept = true;
    setFlagsFromString('--flush-bytecode');
    keepCode(script);
  };
  setTimeout(keep, keepAfterMs).unref();
  process.once('exit', keep);
}

process.argv[1] = __filename;
run();
