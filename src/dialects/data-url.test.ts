import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dataSource, dataUrlOf } from './data-url.ts';

test('a data URL is given back as it was written, and made where it would say something else', () => {
  const url = 'data:image/png;base64,iVBORw0KGgo=';
  const source = dataSource(url, url.indexOf(','));
  assert.deepEqual(source, { kind: 'data', data: 'iVBORw0KGgo=' });
  assert.equal(dataUrlOf(source, 'image/png'), url);
  assert.equal(dataUrlOf(source, 'image/jpeg'), 'data:image/jpeg;base64,iVBORw0KGgo=');
  const other = 'data:image/png;charset=x;base64,iVBORw0KGgo=';
  const odd = dataSource(other, other.indexOf(','));
  assert.equal(dataUrlOf(odd, 'image/png'), url);
  assert.equal(
    dataUrlOf({ kind: 'data', data: 'AA==' }, 'audio/wav'),
    'data:audio/wav;base64,AA==',
  );
});
