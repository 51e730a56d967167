/** In the environment of a worker, and nowhere else. */
export const workerMark = 'MANIFOLD_IS_WORKER';

/** The pipe between owner and worker, behind input, output, errors and the channel of `node:cluster`. */
export const pipePlace = 4;
