import type { ASTNode } from '@marcbachmann/cel-js';
import { partsOf } from './nodes.ts';
import type { StreamQuery } from './stream-query.ts';

/**
 * The members of `data` that a query's expressions name; undefined if an expression uses `data` in another way, and so can
 * need all of it.
 */
export function membersOf({ where, keyBy, timestamp, select }: StreamQuery): ReadonlySet<string> | undefined {
  const names = new Set<string>();
  const expressions = [where, keyBy, timestamp, ...select.map(({ of }) => of)];
  return expressions.every((expression) => !expression || collect(expression.ast, names)) ? names : undefined;
}

/** @returns whether the node uses only members */
function collect(node: ASTNode, names: Set<string>): boolean {
  if (node.op === 'id') return node.args !== 'data';
  if (node.op === '.') {
    const [object, name] = node.args;
    if (object.op === 'id' && object.args === 'data') {
      names.add(name);
      return true;
    }
  }
  return partsOf(node.args).every((part) => collect(part, names));
}
