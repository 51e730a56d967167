export {
  startSimulator,
  type RunningSimulator,
  type SeenRequest,
  type SimulatorOptions,
} from './server.ts';
export {
  ruleSchema,
  scriptSchema,
  usageFaults,
  type Fault,
  type Rule,
  type UsageFault,
} from './fault.ts';
export { loadRecordings, type RecordedCase, type Recordings } from './recordings.ts';
export { simulatorModels } from './answer.ts';
export type { ScriptedCall, Turn } from './turns.ts';
export { type Bill, type BillEntry } from './meter.ts';
