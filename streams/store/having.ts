import type { Plan } from '#streams/engine';
import type { Expression } from '#streams/language';

type Node = Expression<never>['ast'];

const comparisons = new Set(['<', '<=', '>', '>=']);
const connectives: Record<string, string> = { '&&': 'AND', '||': 'OR' };

/**
 * `having` as SQL over `accumulators`, so that PostgreSQL does not send windows that are far from an alert: comparisons of
 * aggregates with numbers, and `&&` and `||` of them. Any other part counts as true; the expression itself decides.
 */
export function havingSql({ layout, query }: Plan): string {
  if (!query.having) return 'true';
  return condition(query.having.ast, (name) => {
    if (name === 'threshold' && query.alert?.threshold !== undefined) return number(query.alert.threshold);
    const index = layout.indexOf(name);
    return index === undefined ? undefined : `accumulators[${index + 1}]`;
  });
}

function condition(node: Node, column: (name: string) => string | undefined): string {
  const connective = connectives[node.op];
  if (connective) {
    const [left, right] = node.args as [Node, Node];
    return `(${condition(left, column)} ${connective} ${condition(right, column)})`;
  }
  if (!comparisons.has(node.op)) return 'true';
  const [left, right] = (node.args as [Node, Node]).map((side) => operand(side, column));
  return left === undefined || right === undefined ? 'true' : `${left} ${node.op} ${right}`;
}

function operand(node: Node, column: (name: string) => string | undefined): string | undefined {
  if (node.op === 'id') return column(node.args);
  if (node.op !== 'value') return undefined;
  return typeof node.args === 'number' || typeof node.args === 'bigint' ? number(node.args) : undefined;
}

function number(value: number | bigint): string | undefined {
  return typeof value === 'bigint' || Number.isFinite(value) ? `${value}::numeric` : undefined;
}
