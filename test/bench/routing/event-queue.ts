/** A binary heap of future events: earliest first, ties in the order of entry. */

export type Event<T> = { readonly atMs: number; readonly order: number; readonly payload: T };

export class EventQueue<T> {
  readonly #heap: Event<T>[] = [];
  #order = 0;

  push(atMs: number, payload: T): void {
    const event: Event<T> = { atMs, order: this.#order++, payload };
    const heap = this.#heap;
    let index = heap.length;
    heap.push(event);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(event, above)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = event;
  }

  pop(): Event<T> | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    this.#sink(last);
    return first;
  }

  #sink(event: Event<T>): void {
    const heap = this.#heap;
    const count = heap.length;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      let below = heap[child];
      if (below === undefined) break;
      const right = child + 1 < count ? heap[child + 1] : undefined;
      if (right !== undefined && isBefore(right, below)) {
        below = right;
        child += 1;
      }
      if (!isBefore(below, event)) break;
      heap[index] = below;
      index = child;
    }
    heap[index] = event;
  }
}

function isBefore<T>(left: Event<T>, right: Event<T>): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);
}
