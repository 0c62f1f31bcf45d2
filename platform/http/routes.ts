import type { Operation } from '#platform/contract';

/** Operations that share a path. */
export interface Route<O> {
  /** with `{name}` parameters, as in the contract */
  path: string;
  operations: O[];
  /** the methods of the path, for `Allow` */
  allow: string;
}

/** A path in Express's form: `/orders/:id` for `/orders/{id}`. */
export function expressPath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}

/** Paths with a literal segment come before those with a parameter in the same position. */
export function bySpecificity(a: string, b: string): number {
  const left = a.split('/');
  const right = b.split('/');
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const difference = Number(left[i]!.startsWith('{')) - Number(right[i]!.startsWith('{'));
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/** Groups operations by path, the most specific path first, so that the first match is correct. */
export function routesOf<O extends Operation>(operations: readonly O[]): Route<O>[] {
  const paths = [...new Set(operations.map((operation) => operation.path))].toSorted(bySpecificity);
  return paths.map((path) => {
    const here = operations.filter((operation) => operation.path === path);
    const methods = here.flatMap(({ method }) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]));
    return { path, operations: here, allow: [...methods, 'OPTIONS'].join(', ') };
  });
}
