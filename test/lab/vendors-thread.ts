/** Simulated vendors on a thread of their own, so that they do not slow the gateway under test. */

import { parentPort, workerData } from 'node:worker_threads';
import { startSimulator } from '#simulator';
import { systemClock, systemRandom } from '#std';

const count = Number(workerData);
const vendors = await Promise.all(
  Array.from({ length: count }, () =>
    startSimulator({ host: '127.0.0.1', port: 0, clock: systemClock, random: systemRandom }),
  ),
);
parentPort?.postMessage(vendors.map(({ url }) => url));
parentPort?.on('message', () => {
  parentPort?.postMessage(vendors.map(({ script }) => script.limited));
});
