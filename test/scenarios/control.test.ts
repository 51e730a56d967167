import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import * as z from 'zod';
import { serve, type RunningServer } from '#cli';
import { controlRoutes } from '#control';

describe('the control API beside the gateway', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'manifold-control-'));
  let server: RunningServer;
  let token = '';
  before(async () => {
    server = await serve(
      { port: 0 },
      { MANIFOLD_DATA: folder },
      { line: () => undefined, error: () => undefined },
    );
    token = readFileSync(path.join(folder, 'admin_token'), 'utf8').trim();
  });
  after(async () => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function ask(
    method: string,
    at: string,
    body?: unknown,
    bearer = token,
  ): Promise<{ status: number; body: Record<string, unknown> }> {
    const response = await fetch(`${server.url}/admin${at}`, {
      method,
      headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  it('answers nobody without the operator token', async () => {
    assert.equal((await ask('GET', '/keys', undefined, 'wrong')).status, 401);
    assert.equal((await ask('GET', '/openapi.json', undefined, '')).status, 401);
  });

  it('describes each of its routes in OpenAPI', async () => {
    const { body } = await ask('GET', '/openapi.json');
    const paths = body['paths'] as Record<string, unknown>;
    assert.ok(paths['/admin/wallets/{wallet_id}/topups']);
    assert.ok(Object.keys(paths).length >= 12);
  });

  it('credits a top-up once, refunds it, and writes both into statement and audit log', async () => {
    const topup = { amount_usd: '12.5', event_id: 'invoice-1' };
    const first = await ask('POST', '/wallets/w1/topups', topup);
    const second = await ask('POST', '/wallets/w1/topups', topup);
    assert.equal(first.status, 200);
    assert.equal(first.body['receipt_id'], second.body['receipt_id']);
    const wallet = await ask('GET', '/wallets/w1');
    assert.equal(wallet.body['available_usd'], '12.5');
    const lot = (wallet.body['lots'] as { lot_id: string }[])[0];
    assert.equal(
      (
        await ask('POST', '/wallets/w1/refunds', {
          lot_id: lot?.lot_id,
          amount_usd: '2.5',
          event_id: 'refund-1',
          reason: 'asked for it',
        })
      ).status,
      200,
    );
    assert.equal((await ask('GET', '/wallets/w1')).body['available_usd'], '10');
    const statement = await ask('GET', '/wallets/w1/statement');
    assert.equal((statement.body['receipts'] as unknown[]).length, 2);
    const audit = await ask('GET', '/audit');
    assert.ok(
      (audit.body['entries'] as { action: string }[]).some(
        (entry) => entry.action === 'wallet.refund',
      ),
    );
  });

  it('answers as its OpenAPI document says, without a name that is spelled otherwise', async () => {
    await ask('POST', '/wallets/w5/topups', { amount_usd: '1', event_id: 'w5' });
    const made = await ask('POST', '/keys', { name: 'k', wallet_id: 'w5' });
    const chat = await fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${String(made.body['key'])}` },
      body: JSON.stringify({ model: 'sim-chat', messages: [{ role: 'user', content: 'hi' }] }),
    });
    const { usage } = (await chat.json()) as { usage: { receipt_id: string } };
    const places: Record<string, string> = {
      '/wallets/{wallet_id}': '/wallets/w5',
      '/wallets/{wallet_id}/statement': '/wallets/w5/statement',
      '/receipts/{receipt_id}': `/receipts/${usage.receipt_id}`,
      '/requests/{request_id}': `/requests/${chat.headers.get('x-request-id') ?? ''}`,
    };
    for (const route of controlRoutes.filter(({ method }) => method === 'get')) {
      const { status, body } = await ask('GET', places[route.path] ?? route.path);
      assert.equal(status, 200, route.path);
      const schema = route.response instanceof z.ZodObject ? route.response : undefined;
      assert.deepEqual(schema?.parse(body), body, route.path);
    }
    const receipt = (await ask('GET', `/receipts/${usage.receipt_id}`)).body;
    assert.deepEqual(capitalNames({ ...receipt, usage: {}, detail: {} }), []);
  });

  it('makes a key that works at once and revokes it at once', async () => {
    await ask('POST', '/wallets/w2/topups', { amount_usd: '1', event_id: 'w2', kind: 'gift' });
    const made = await ask('POST', '/keys', {
      name: 'k',
      wallet_id: 'w2',
      limits: { models: ['sim-*'] },
    });
    const chat = async (): Promise<number> => {
      const response = await fetch(`${server.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${String(made.body['key'])}` },
        body: JSON.stringify({ model: 'sim-chat', messages: [{ role: 'user', content: 'hi' }] }),
      });
      await response.text();
      return response.status;
    };
    assert.equal(await chat(), 200);
    assert.equal((await ask('DELETE', `/keys/${String(made.body['key_id'])}`)).status, 200);
    assert.equal(await chat(), 401);
    const listed = JSON.stringify((await ask('GET', '/keys')).body);
    assert.ok(!listed.includes(String(made.body['key'])));
  });

  it('refuses a repeat of an event that says something else', async () => {
    const paid = { amount_usd: '2', event_id: 'w3' };
    await ask('POST', '/wallets/w3/topups', paid);
    assert.equal((await ask('POST', '/wallets/w3/topups', paid)).status, 200);
    assert.equal((await ask('POST', '/wallets/w3/topups', { ...paid, kind: 'gift' })).status, 409);
    const refund = { lot_id: 'lot_operator~w3', event_id: 'r3', reason: 'asked for it' };
    const refunded = async (amount_usd: string): Promise<number> =>
      (await ask('POST', '/wallets/w3/refunds', { ...refund, amount_usd })).status;
    assert.deepEqual(
      [await refunded('1'), await refunded('1'), await refunded('0.5')],
      [200, 200, 409],
    );
  });

  it('refuses a top-up beyond what a balance can be, and the wallet goes on', async () => {
    const topup = (amount_usd: string, event_id: string) =>
      ask('POST', '/wallets/w9/topups', { amount_usd, event_id });
    assert.equal((await topup('9000000', 'large-1')).status, 200);
    const refused = await topup('9000000', 'large-2');
    assert.equal(refused.status, 409);
    assert.match(JSON.stringify(refused.body), /balance_too_large.*9007199\.254740991/);
    assert.equal((await topup('7199.254740991', 'large-3')).status, 200);
    const wallet = await ask('GET', '/wallets/w9');
    assert.equal(wallet.body['available_usd'], '9007199.254740991');
    assert.equal((await ask('POST', '/ledger/verify')).body['ok'], true);
  });

  it('refuses a place in a list that no page has named, where an empty page would look like the end', async () => {
    for (const at of [
      '/wallets/w1/statement?before=x',
      '/wallets/w1/statement?before=9999999999999999999-1',
      '/requests?before=req_1',
      '/receipts/a%00b',
    ]) {
      const { status, body } = await ask('GET', at);
      assert.equal(status, 400, at);
      assert.match(JSON.stringify(body), /"code":"invalid_(?:query|request)"/);
    }
    const first = await ask('GET', '/wallets/w1/statement?limit=1');
    const next = encodeURIComponent(String(first.body['next']));
    const second = await ask('GET', `/wallets/w1/statement?before=${next}`);
    assert.equal((second.body['receipts'] as unknown[]).length, 1);
  });

  it('shows a request whose model has a zero character, which PostgreSQL could not store', async () => {
    const made = await ask('POST', '/keys', { name: 'k', wallet_id: 'w8' });
    const chat = await fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${String(made.body['key'])}` },
      body: JSON.stringify({ model: 'a\0b', messages: [{ role: 'user', content: 'hi' }] }),
    });
    assert.equal(chat.status, 404);
    let shown: readonly { model: string }[] = [];
    // It may come a moment after the answer.
    for (let count = 0; shown.length === 0 && count < 100; count += 1) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      const { body } = await ask('GET', '/requests?wallet_id=w8');
      shown = body['requests'] as { model: string }[];
    }
    assert.equal(shown[0]?.model, 'a\ufffdb');
  });

  it('refuses a key that could not be used or shown', async () => {
    const made = async (more: object): Promise<number> =>
      (await ask('POST', '/keys', { name: 'k', wallet_id: 'w4', ...more })).status;
    assert.equal(await made({ expires_at_ms: 8_640_000_000_000_001 }), 400);
    assert.equal(await made({ expires_at_ms: Math.floor(Date.now() / 1_000) + 86_400 }), 400);
    assert.equal(await made({ expires_at_ms: Date.now() + 86_400_000 }), 200);
    const daily = { window: 'daily', limit_nano_usd: 1_000_000_000 };
    assert.equal(await made({ limits: { budgets: [daily, daily] } }), 400);
    assert.equal(await made({ limits: { ip_ranges: ['10.1/16'] } }), 400);
  });

  it('takes a channel without a restart and never shows its secret', async () => {
    const put = await ask('PUT', '/channels/mine', {
      dialect: 'openai-chat',
      base_url: 'https://models.example.com/v1',
      secret: 'very-secret',
      models: { 'my-model': { prices: { input: '1', output: '2' } } },
    });
    assert.equal(put.status, 200, JSON.stringify(put.body));
    assert.ok(!JSON.stringify((await ask('GET', '/channels')).body).includes('very-secret'));
    assert.equal((await ask('PUT', '/channels/bad', { provider: 'nobody' })).status, 400);
    assert.equal((await ask('DELETE', '/channels/mine')).status, 200);
  });

  it('refuses a channel with a price that no unit has, and says where it stands', async () => {
    const channel = {
      dialect: 'openai-chat',
      base_url: 'https://models.example.com/v1',
      secret: 's',
    };
    for (const [prices, complaint] of [
      [{ imput: '1', output: '2' }, /^models: m: prices: Unrecognized key: "imput"$/],
      [{ input: 1 }, /^models: m: prices: input: .*expected string, received number$/],
    ] as const) {
      const put = await ask('PUT', '/channels/priced', { ...channel, models: { m: { prices } } });
      assert.equal(put.status, 400);
      assert.match(z.object({ message: z.string() }).parse(put.body['error']).message, complaint);
    }
  });

  it('shows what is spent and left of the budgets of a key', async () => {
    await ask('POST', '/wallets/w6/topups', { amount_usd: '1', event_id: 'w6' });
    const limits = {
      budgets: [
        { window: 'monthly', limit_nano_usd: 500_000_000 },
        { window: 'total', limit_nano_usd: 0 },
      ],
    };
    const made = await ask('POST', '/keys', { name: 'k', wallet_id: 'w6', limits });
    const budget = { held_usd: '0', spent_usd: '0' };
    const untouched = z.array(z.looseObject({ window: z.string() })).parse(made.body['budgets']);
    const month = Date.UTC(new Date().getUTCFullYear(), new Date().getUTCMonth(), 1);
    assert.deepEqual(untouched, [
      {
        ...budget,
        window: 'monthly',
        window_start_ms: month,
        limit_usd: '0.5',
        remaining_usd: '0.5',
      },
      { ...budget, window: 'total', window_start_ms: 0, limit_usd: '0', remaining_usd: '0' },
    ]);
    const open = { budgets: limits.budgets.slice(0, 1) };
    const key = (await ask('POST', '/keys', { name: 'k', wallet_id: 'w6', limits: open })).body;
    await ask('POST', '/keys', { name: 'free of them', wallet_id: 'w6' });
    const chat = await fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${String(key['key'])}` },
      body: JSON.stringify({ model: 'sim-chat', messages: [{ role: 'user', content: 'hi' }] }),
    });
    assert.equal(chat.status, 200, await chat.text());
    const wallet = (await ask('GET', '/wallets/w6')).body;
    const { keys } = z
      .object({ keys: z.array(z.looseObject({ key_id: z.string(), budgets: z.array(z.any()) })) })
      .parse((await ask('GET', '/keys?wallet_id=w6')).body);
    const [spent] = keys.find(({ key_id: id }) => id === key['key_id'])?.budgets ?? [];
    const charge = 1_000_000_000 - Number(wallet['available_usd']) * 1e9;
    assert.ok(charge > 0);
    assert.equal(Math.round(Number(spent.spent_usd) * 1e9), Math.round(charge));
    assert.equal(
      Math.round(Number(spent.remaining_usd) * 1e9),
      Math.round(500_000_000 - charge),
      'remaining',
    );
    assert.deepEqual(
      keys.map(({ budgets }) => budgets.length),
      [0, 1, 2],
    );
  });

  it('refuses what a list cannot be asked for, with the parameter and what it may be', async () => {
    const lists = ['/wallets/w1/statement', '/keys', '/requests', '/audit'];
    for (const [query, named] of [
      ['limit=0', /limit: must be a whole number from 1 to 500/],
      ['limit=ten', /limit: must be/],
      ['limit=501', /limit: must be/],
      ['limit=', /limit: must be/],
      ['before=nonsense', /before: (must be|there is no key)/],
      ['before=', /before: must/],
      ['befor=x', /befor: is no parameter of this path. There are .*before, limit/],
      ['limit=5&limit=6', /limit: is given more than once/],
    ] as const)
      for (const list of lists) {
        const { status, body } = await ask('GET', `${list}?${query}`);
        assert.equal(status, 400, `${list}?${query} ${JSON.stringify(body)}`);
        assert.match(JSON.stringify(body), named);
      }
    for (const [at, named] of [
      ['/requests?errors_only=yes', /errors_only: /],
      ['/requests?model=', /model: must not be empty/],
      ['/keys?wallet_id=a%20b', /wallet_id: must be/],
      ['/accounts?limit=5', /limit: is no parameter of this path. There are prefix/],
      ['/channels?limit=5', /It has none/],
    ] as const) {
      const { status, body } = await ask('GET', at);
      assert.equal(status, 400, at);
      assert.match(JSON.stringify(body), named);
    }
  });

  it('goes through each list by the place that a page ends with', async () => {
    const placeOf: Record<string, (body: Record<string, unknown>) => unknown> = {
      '/wallets/w1/statement': (body) => body['next'],
      '/requests': (body) => body['next'],
      '/keys': (body) => (body['keys'] as { key_id: string }[])[0]?.key_id,
      '/audit': (body) => (body['entries'] as { audit_id: string }[])[0]?.audit_id,
    };
    for (const [list, place] of Object.entries(placeOf)) {
      const first = (await ask('GET', `${list}?limit=1`)).body;
      const before = encodeURIComponent(String(place(first)));
      const second = await ask('GET', `${list}?limit=1&before=${before}`);
      assert.equal(second.status, 200, JSON.stringify(second.body));
      const rows = (body: Record<string, unknown>) => Object.values(body).find(Array.isArray);
      assert.equal(rows(second.body)?.length, 1, list);
      assert.notDeepEqual(rows(second.body), rows(first), list);
    }
  });

  it('refuses a name of a key that would not be one line', async () => {
    for (const name of ['a\nb', '\u001b[2Ja', 'a\u009b', '  ', 'a\u202eb']) {
      const { status, body } = await ask('POST', '/keys', { name, wallet_id: 'w' });
      assert.equal(status, 400, JSON.stringify(name));
      assert.match(JSON.stringify(body), /name: must/);
    }
  });

  it('verifies the ledger', async () => {
    const { body } = await ask('POST', '/ledger/verify');
    assert.equal(body['ok'], true);
    assert.equal(body['difference_count'], 0);
  });

  it('refuses fields it does not know', async () => {
    const { status, body } = await ask('POST', '/keys', {
      name: 'k',
      wallet_id: 'w',
      role: 'admin',
    });
    assert.equal(status, 400);
    assert.match(JSON.stringify(body), /role/);
  });

  it('refuses names, amounts and reasons that the ledger could not book', async () => {
    const topup = { amount_usd: '5', event_id: 'e-1' };
    const refund = { lot_id: 'l', event_id: 'e-2', reason: 'r' };
    for (const [at, body, named] of [
      ['/keys', { name: 'k', wallet_id: 'a b' }, /wallet_id/],
      ['/keys', { name: 'k', wallet_id: 'w', project_id: 'a b' }, /project_id/],
      ['/wallets/a%20b/topups', topup, /wallet_id/],
      ['/wallets/w/topups', { ...topup, event_id: 'e 1' }, /event_id/],
      ['/wallets/w/topups', { ...topup, amount_usd: '0.00' }, /amount_usd: must be more than 0/],
      ['/wallets/w/refunds', { ...refund, reason: '  ' }, /reason/],
      ['/wallets/w/refunds', { ...refund, amount_usd: '0' }, /amount_usd/],
    ] as const) {
      const answer = await ask('POST', at, body);
      assert.equal(answer.status, 400, JSON.stringify(answer.body));
      assert.match(JSON.stringify(answer.body), named);
    }
  });
});

function capitalNames(value: unknown): readonly string[] {
  if (typeof value !== 'object' || value === null) return [];
  const own = Array.isArray(value) ? [] : Object.keys(value).filter((name) => /[A-Z]/.test(name));
  return [...own, ...Object.values(value).flatMap(capitalNames)];
}
