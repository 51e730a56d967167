/**
 * What a process and all its children cost, read from /proc. CPU time is the scheduler's own count
 * in nanoseconds where the kernel shows it, else clock ticks of 10 ms.
 */

import { readdirSync, readFileSync } from 'node:fs';

export type ProcessCost = {
  readonly cpuMs: number;
  readonly rssBytes: number;
  readonly openFiles: number;
};

/** The process and everything it has started that still runs. */
export function processTree(rootPid: number): readonly number[] {
  const childrenOf = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    const parent = Number.isInteger(pid) ? parentOf(pid) : undefined;
    if (parent === undefined) continue;
    const siblings = childrenOf.get(parent);
    if (siblings === undefined) childrenOf.set(parent, [pid]);
    else siblings.push(pid);
  }
  const found = [rootPid];
  for (let index = 0; index < found.length; index += 1) {
    found.push(...(childrenOf.get(found[index] ?? 0) ?? []));
  }
  return found;
}

/** Sums the tree of `rootPid`. A process that ends meanwhile counts as nothing. */
export function costOfTree(rootPid: number): ProcessCost {
  let cpuMs = 0;
  let rssBytes = 0;
  let openFiles = 0;
  for (const pid of processTree(rootPid)) {
    cpuMs += cpuMsOf(pid);
    rssBytes += rssBytesOf(pid);
    openFiles += count(`/proc/${pid}/fd`);
  }
  return { cpuMs, rssBytes, openFiles };
}

/** Busy time of one processor since the start of the machine, with the time a host took away. */
export function processorTimes(cpu: number): {
  readonly busyMs: number;
  readonly stolenMs: number;
} {
  const line = read('/proc/stat')
    ?.split('\n')
    .find((text) => text.startsWith(`cpu${cpu} `));
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0, stolen = 0] = (line ?? '')
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return { busyMs: (user + nice + system + irq + softIrq) * 10, stolenMs: stolen * 10 };
}

function cpuMsOf(pid: number): number {
  let sumMs = 0;
  for (const thread of list(`/proc/${pid}/task`)) {
    const text = read(`/proc/${pid}/task/${thread}/sched`);
    const exact =
      text === undefined ? undefined : /sum_exec_runtime\s*:\s*([\d.]+)/.exec(text)?.[1];
    sumMs += exact === undefined ? ticksMsOf(`/proc/${pid}/task/${thread}/stat`) : Number(exact);
  }
  return sumMs;
}

function ticksMsOf(path: string): number {
  const fields = fieldsAfterName(path);
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * 10;
}

function parentOf(pid: number): number | undefined {
  const parent = fieldsAfterName(`/proc/${pid}/stat`)[1];
  return parent === undefined ? undefined : Number(parent);
}

/** The fields of a stat line from the state on; a name may hold spaces and brackets. */
function fieldsAfterName(path: string): readonly string[] {
  const text = read(path);
  return text === undefined ? [] : text.slice(text.lastIndexOf(') ') + 2).split(' ');
}

function rssBytesOf(pid: number): number {
  const kilobytes = /VmRSS:\s+(\d+)/.exec(read(`/proc/${pid}/status`) ?? '')?.[1];
  return Number(kilobytes ?? 0) * 1024;
}

function count(folder: string): number {
  return list(folder).length;
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
