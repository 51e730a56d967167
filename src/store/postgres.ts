import type { Engine } from './engine.ts';
export async function openPostgresEngine(options: { url: string; nodeId: string; nowMs: number; batchMax?: number }): Promise<Engine> {
  throw new Error(`not yet: ${options.nodeId}`);
}
