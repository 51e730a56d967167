import assert from 'node:assert/strict';
import { once } from 'node:events';
import { duplexPair, Transform, type Duplex } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { StoreUnavailableError } from '#store';
import { Link, type Calls } from './link.ts';

type Echo = {
  echo(value: unknown): unknown;
  late(value: unknown): Promise<unknown>;
  fail(code: string): Promise<never>;
  note(value: unknown): void;
};

function echo(heard: unknown[] = []): Echo & Calls {
  return {
    echo: (value) => value,
    late: async (value) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      return value;
    },
    fail: (code) =>
      Promise.reject(
        code === 'plain'
          ? new RangeError('no')
          : new StoreUnavailableError('store_fenced', 'another one writes'),
      ),
    note: (value) => void heard.push(value),
  };
}

function linked(heard?: unknown[]): {
  readonly ours: Link<Echo>;
  readonly theirs: Link<Calls>;
  /** As when the process at the other end dies. */
  readonly sever: () => void;
} {
  const [here, there] = duplexPair();
  const sever = (): void => void (here.destroy(), there.destroy());
  return { ours: new Link<Echo>(here, {}), theirs: new Link<Calls>(there, echo(heard)), sever };
}

test('answers find their questions, whichever comes first', async () => {
  const { ours } = linked();
  const late = ours.ask('late', 1);
  const early = ours.ask('echo', 2);
  assert.equal(await early, 2);
  assert.equal(await late, 1);
});

test('what is JSON arrives as it is, also what is not ASCII', async () => {
  const { ours } = linked();
  const value = { text: 'ä 你好 🙂', none: null, list: [1, [2.5]] };
  assert.deepEqual(await ours.ask('echo', value), value);
});

test('news and questions are heard in the order in which they were said', async () => {
  const heard: unknown[] = [];
  const { ours } = linked(heard);
  ours.tell('note', 1);
  ours.tell('note', 2);
  await ours.ask('echo', 0);
  assert.deepEqual(heard, [1, 2]);
});

test('a store that cannot be written is known as such on the other side', async () => {
  const { ours } = linked();
  await assert.rejects(ours.ask('fail', 'store'), (error: unknown) => {
    assert.ok(error instanceof StoreUnavailableError);
    assert.equal(error.code, 'store_fenced');
    return true;
  });
  await assert.rejects(ours.ask('fail', 'plain'), /RangeError: no/);
});

test('questions without an answer are refused when the other side is gone, later ones at once', async () => {
  const { ours, sever } = linked();
  const open = ours.ask('late', 1);
  sever();
  await assert.rejects(open, StoreUnavailableError);
  await ours.closed;
  await assert.rejects(ours.ask('echo', 1), StoreUnavailableError);
});

test('closed waits for what the other side had asked for', async () => {
  const [here, there] = duplexPair();
  let done = false;
  const begun = Promise.withResolvers<void>();
  const served = new Link<Calls>(there, {
    slow: async () => {
      begun.resolve();
      await new Promise((resolve) => setTimeout(resolve, 20));
      done = true;
    },
  });
  const asking = new Link<{ slow(): Promise<void> }>(here, {});
  const asked = asking.ask('slow');
  await begun.promise;
  here.destroy();
  there.destroy();
  await assert.rejects(asked);
  await served.closed;
  assert.equal(done, true);
});

test('a fault in what is heard ends the connection, not the process', async () => {
  const [here, there] = duplexPair();
  const faults: string[] = [];
  there.on('error', (error) => faults.push(error.message));
  const served = new Link<Calls>(there, echo());
  const asking = new Link<{ strange(): void }>(here, {});
  asking.tell('strange');
  await served.closed;
  assert.deepEqual(faults, ['nobody answers to strange']);
  here.destroy();
});

test('what nobody waits for is heard too, soon and in its order', async () => {
  const heard: unknown[] = [];
  const { ours } = linked(heard);
  ours.tell('note', 1);
  assert.equal(await ours.askLater('echo', 2), 2);
  assert.deepEqual(heard, [1]);
});

test('much that is said at once comes in several frames, and what cannot be written fails alone', async () => {
  const { ours } = linked();
  const texts = Array.from({ length: 5 }, (_, index) => String(index).repeat(700_000));
  const circle: { self?: unknown } = {};
  circle.self = circle;
  const wrong = ours.ask('echo', circle);
  const answers = Promise.all(texts.map((text) => ours.ask('echo', text)));
  await assert.rejects(wrong, /circular/);
  assert.deepEqual(await answers, texts);
});

test('settled waits for answers, and for what they lead to', async () => {
  const { ours } = linked();
  let second: unknown;
  void ours.ask('late', 1).then(async () => {
    second = await ours.ask('late', 2);
  });
  await ours.settled();
  assert.equal(second, 2);
});

test('frames are found however the bytes are cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ maxLength: 300 }), { minLength: 1, maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 10 }),
      async (values, sizes) => {
        const [here, there] = duplexPair();
        const ours = new Link<Echo>(here, {});
        const cutter = cut(sizes);
        there.pipe(cutter);
        const far = joined(cutter, there);
        void new Link<Calls>(far, echo());
        const answers = await Promise.all(values.map((value) => ours.ask('echo', value)));
        assert.deepEqual(answers, values);
        here.destroy();
        await once(here, 'close');
      },
    ),
    { numRuns: 60 },
  );
});

/** Passes bytes on in pieces of these sizes, over and over. */
function cut(sizes: readonly number[]): Transform {
  let turn = 0;
  return new Transform({
    transform(piece: Buffer, _encoding, done) {
      for (let at = 0; at < piece.length;) {
        const size = sizes[turn++ % sizes.length] ?? 1;
        this.push(piece.subarray(at, at + size));
        at += size;
      }
      done();
    },
  });
}

/** Reads from one, writes to the other. */
function joined(readable: Transform, writable: Duplex): Duplex {
  return new Proxy(writable, {
    get(target, name) {
      const source: Duplex = name === 'on' || name === 'once' ? readable : target;
      const value: unknown = Reflect.get(source, name);
      return typeof value === 'function' ? value.bind(source) : value;
    },
  });
}
