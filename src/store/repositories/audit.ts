import type { AuditEntry, AuditRepository } from '../contract.ts';
import type { Engine, Lane, Value, WriteStatement } from '../engine.ts';
import { integerOf, query, textOf, write } from '../engine.ts';
import { objectOf, pageLimit } from './json.ts';

const columns = ['audit_id', 'created_at_ms', 'actor', 'action', 'target', 'detail'] as const;

const insertAudit: WriteStatement = {
  action: 'insert',
  table: 'audit',
  columns: columns.map((name) => ({ name, type: name === 'created_at_ms' ? 'integer' : 'text' })),
};

const lane: Lane<AuditEntry, true> = {
  name: 'audit',
  *apply(entries) {
    yield* write(
      insertAudit,
      entries.map(({ auditId, createdAtMs, actor, action, target, detail }) => [
        auditId,
        createdAtMs,
        actor,
        action,
        target,
        JSON.stringify(detail),
      ]),
    );
    return entries.map(() => true);
  },
};

export function createAuditRepository(engine: Engine): AuditRepository {
  return {
    append: async (entry) => {
      await engine.submit(lane, entry);
    },
    list: (request) =>
      engine.read(function* () {
        const conditions: string[] = [];
        const parameters: Value[] = [];
        const add = (sql: string, ...values: readonly Value[]): void => {
          conditions.push(sql);
          parameters.push(...values);
        };
        if (request.actor !== undefined) add('actor = ?', request.actor);
        if (request.target !== undefined) add('target = ?', request.target);
        if (request.before !== undefined) add('audit_id < ?', request.before);
        const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
        const rows = yield* query(
          `SELECT ${columns.join(', ')} FROM audit${where} ORDER BY audit_id DESC LIMIT ${pageLimit(request.limit, 100)}`,
          parameters,
        );
        return rows.map((row): AuditEntry => ({
          auditId: textOf(row, 'audit_id'),
          createdAtMs: integerOf(row, 'created_at_ms'),
          actor: textOf(row, 'actor'),
          action: textOf(row, 'action'),
          target: textOf(row, 'target'),
          detail: objectOf(row, 'detail'),
        }));
      }),
  };
}
