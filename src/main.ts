/** The program. Everything it does is a command of src/cli. */

import { run, terminal } from '#cli';

const major = Number(process.versions.node.split('.')[0]);
if (major < 24) {
  terminal.error(
    `Manifold needs Node 24; this is ${process.version}. \`npm start\` brings it along.`,
  );
  process.exit(1);
}
// No `await`: the copy that is started is a script.
void run(process.argv.slice(2), process.env, terminal).then((code) => {
  process.exitCode = code;
});
