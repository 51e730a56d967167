import type { Access } from '#access';
import type { Ledger, Receipt } from '#ledger';
import type { Router } from '#routing';
import type { Clock, JsonObject, NanoUsd, NewId } from '#std';
import type { Store } from '#store';
import type { Log } from '#telemetry';

/** What the control plane works on. It shares no code path with the data plane. */
export type ControlServices = {
  readonly store: Store;
  readonly ledger: Ledger;
  readonly access: Access;
  readonly router: Pick<Router, 'status'>;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly log: Log;
  /** Recomputes a charge from a receipt's own lines. */
  readonly rate: (receipt: Receipt) => NanoUsd | undefined;
  /** Channels are checked by who knows providers. `put` gives the problem in words, or `undefined`. */
  readonly channels: {
    put(id: string, body: JsonObject): Promise<string | undefined>;
    remove(id: string): Promise<boolean>;
  };
};
