import assert from 'node:assert/strict';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { NewerDatabaseError } from '#store';
import { ConfigError } from './config-error.ts';
import { dataError } from './start-error.ts';

/** What SQLite throws where there is no room for what it has to write. */
function fullDisk(): unknown {
  const database = new DatabaseSync(':memory:');
  try {
    database.exec('PRAGMA max_page_count = 2; CREATE TABLE a (b)');
    database.exec('INSERT INTO a VALUES (zeroblob(100000))');
    return undefined;
  } catch (error) {
    return error;
  } finally {
    database.close();
  }
}

test('a start on a full disk asks for space, not for a backup', () => {
  const told = dataError(fullDisk(), '/data', undefined);
  assert.ok(told instanceof ConfigError, String(told));
  assert.match(told.message, /no space left/);
  assert.doesNotMatch(told.message, /backup/);
});

test('a start in a folder that may not be written asks for another folder, not for a backup', () => {
  let thrown: unknown;
  try {
    new DatabaseSync('/there/is/no/such/folder/manifold.db').close();
  } catch (error) {
    thrown = error;
  }
  const told = dataError(thrown, '/data', undefined);
  assert.ok(told instanceof ConfigError, String(told));
  assert.match(told.message, /The data folder \/data cannot be used/);
  assert.doesNotMatch(told.message, /backup/);
});

test('a start on a file system that may only be read says so, whatever Node and SQLite say', (t) => {
  const given = fs.accessSync;
  t.after(() => {
    fs.accessSync = given;
    syncBuiltinESMExports();
  });
  const asked: unknown[] = [];
  fs.accessSync = (folder) => {
    asked.push(folder);
    throw Object.assign(new Error('EROFS: read-only file system'), { code: 'EROFS' });
  };
  syncBuiltinESMExports();
  const folder = join(tmpdir(), 'no', 'such', 'folder');
  for (const cause of [
    { code: 'ENOENT', message: 'ENOENT: no such file' },
    { code: 'ERR_SQLITE_ERROR', errcode: 14, message: 'unable to open database file' },
  ]) {
    const told = dataError(Object.assign(new Error(cause.message), cause), folder, undefined);
    assert.ok(told instanceof ConfigError, String(told));
    assert.match(told.message, /folder cannot be used: EROFS.* Mount it for writing/);
  }
  assert.deepEqual(asked, [tmpdir(), tmpdir()]);
});

test('a start on a disk that refuses asks to look at the disk, not for a backup', () => {
  const cause = Object.assign(new Error('disk I/O error'), {
    code: 'ERR_SQLITE_ERROR',
    errcode: 4874,
  });
  const told = dataError(cause, '/data', undefined);
  assert.ok(told instanceof ConfigError, String(told));
  assert.match(told.message, /has space left/);
  assert.doesNotMatch(told.message, /backup/);
});

test('a database of a newer version is told as such, without its password', () => {
  const error = new NewerDatabaseError(9, 5);
  for (const [url, place] of [
    [undefined, 'in /data'],
    ['postgres://u:secret@h/db', 'at h/db'],
  ] as const) {
    const told = dataError(error, '/data', url);
    assert.ok(told instanceof ConfigError, String(told));
    assert.match(told.message, /newer Manifold/);
    assert.ok(told.message.includes(place) && !told.message.includes('secret'), told.message);
  }
});
