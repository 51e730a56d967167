import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Checkpointer } from './checkpointer.ts';
import { Connection } from './sqlite-connection.ts';

async function withDatabase(
  work: (rig: { readonly path: string; readonly writer: Connection }) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'manifold-checkpoint-'));
  const path = join(folder, 'test.db');
  // Its own checkpoint is far away: what is copied was copied by the other thread.
  const writer = new Connection(path, 'NORMAL', 1_000_000);
  writer.database.exec('CREATE TABLE rows (body TEXT)');
  try {
    await work({ path, writer });
  } finally {
    writer.close();
    rmSync(folder, { recursive: true });
  }
}

const write = ({ database }: Connection): void =>
  void database.prepare('INSERT INTO rows VALUES (?)').run('x'.repeat(200_000));

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition() && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 5));
  assert.ok(condition(), 'the condition was never met');
}

test('the log is copied by another thread, also while a writer has begun', () =>
  withDatabase(async ({ path, writer }) => {
    const failures: unknown[] = [];
    const checkpointer = new Checkpointer({ path, synchronous: 'NORMAL' }, 1_000, (result) =>
      failures.push(result),
    );
    for (let turn = 1; turn <= 3; turn += 1) {
      write(writer);
      assert.equal(writer.begin(), true);
      checkpointer.written(900);
      checkpointer.committed(0);
      checkpointer.committed(100);
      await until(() => statSync(path).size > turn * 200_000);
      writer.rollBack();
    }
    await checkpointer.close();
    checkpointer.committed(1_000);
    assert.deepEqual(failures, []);
  }));

test('a checkpoint that fails is told with SQLite’s code', () =>
  withDatabase(async ({ path, writer }) => {
    write(writer);
    const failures: unknown[] = [];
    const checkpointer = new Checkpointer(
      { path: join(path, '..', 'no-database.txt'), synchronous: 'NORMAL' },
      0,
      (result) => failures.push(result),
    );
    writeFileSync(
      join(path, '..', 'no-database.txt'),
      'this is not a database, but some text '.repeat(200),
    );
    checkpointer.committed(0);
    await until(() => failures.length > 0);
    assert.ok(failures[0] instanceof Error && 'errcode' in failures[0]);
    assert.equal(Number(failures[0].errcode) & 0xff, 26);
    await checkpointer.close();
  }));
