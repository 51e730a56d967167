/** Completing a lock file, apart from reading and writing it. */

type LockEntry = {
  readonly version?: string;
  readonly dev?: boolean;
  readonly license?: string;
  readonly optionalDependencies?: { readonly [name: string]: string };
};

type Lock = { packages: { [key: string]: object } };

export function completeLock(text: string): { readonly text: string; readonly added: number } {
  const lock = JSON.parse(text) as Lock;
  let added = 0;
  for (const [key, entry] of Object.entries<LockEntry>({ ...lock.packages })) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const known =
        lock.packages[`node_modules/${name}`] ?? lock.packages[`${key}/node_modules/${name}`];
      if (known !== undefined) continue;
      lock.packages[`node_modules/${name}`] = stub(name, version, entry);
      added += 1;
    }
  }
  const sorted = Object.entries(lock.packages).sort(([left], [right]) =>
    left.localeCompare(right, 'en'),
  );
  lock.packages = Object.fromEntries(sorted);
  return { text: `${JSON.stringify(lock, undefined, 2)}\n`, added };
}

const libraryOf: { readonly [suffix: string]: string } = {
  gnu: 'glibc',
  gnueabihf: 'glibc',
  musl: 'musl',
  musleabihf: 'musl',
};

/** The platform is read from the name, `binding-linux-arm64-musl`, as all these packages spell it. */
function stub(name: string, version: string, parent: LockEntry): object {
  const lastPart = name.split('/').pop() ?? name;
  const [system = '', processor = '', library = ''] = lastPart.replace(/^binding-/, '').split('-');
  const libc = system === 'linux' ? libraryOf[library] : undefined;
  return {
    version,
    cpu: [processor],
    ...(parent.dev === true ? { dev: true } : {}),
    ...(libc === undefined ? {} : { libc: [libc] }),
    ...(parent.license === undefined ? {} : { license: parent.license }),
    optional: true,
    os: [system],
  };
}
