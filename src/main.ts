/** The program. Everything it does is a command of src/cli. */

import { run, terminal } from '#cli';

const major = Number(process.versions.node.split('.')[0]);
if (major < 24) {
  terminal.error(
    `Manifold needs Node 24; this is ${process.version}. \`npm start\` brings it along.`,
  );
  process.exit(1);
}
process.exitCode = await run(process.argv.slice(2), process.env, terminal);
