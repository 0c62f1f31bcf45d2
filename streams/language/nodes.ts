import type { ASTNode } from '@marcbachmann/cel-js';

/** The child nodes of a node with these arguments, also those in nested lists and in macros. */
export function partsOf(args: unknown): ASTNode[] {
  if (Array.isArray(args)) return args.flatMap(partsOf);
  return typeof args === 'object' && args !== null && 'op' in args ? [args as ASTNode] : [];
}

/** A node and every node below it. */
export function* nodesOf(node: ASTNode): Generator<ASTNode> {
  yield node;
  for (const part of partsOf(node.args)) yield* nodesOf(part);
}
