import { EvaluationError } from '@marcbachmann/cel-js';
import type { ASTNode, Environment } from '@marcbachmann/cel-js';
import { addDecimals, decimalOf, formatDecimal, multiplyDecimals, quotientOf, subtractDecimals } from './decimal.ts';
import type { Decimal } from './decimal.ts';
import { nodesOf } from './nodes.ts';

interface Operation {
  /** exact on whole numbers, as long as a double holds the result */
  quick: (a: number, b: number) => number;
  exact: (a: Decimal, b: Decimal) => Decimal;
}

const operations: Record<'+' | '-' | '*', Operation> = {
  '+': { quick: (a, b) => a + b, exact: addDecimals },
  '-': { quick: (a, b) => a - b, exact: subtractDecimals },
  '*': { quick: (a, b) => a * b, exact: multiplyDecimals },
};

type Calculate = (a: number, b: number) => number;

/**
 * Arithmetic on JSON numbers. They are decimals, as they are for sums: 0.1 * 3 is 0.3, which in binary it is not. A quotient is the
 * double that is nearest to that of the decimals.
 */
export const calculate: Record<keyof typeof operations | '/', Calculate> = {
  '+': decimally(operations['+']),
  '-': decimally(operations['-']),
  '*': decimally(operations['*']),
  '/': (a, b) => {
    if (Number.isSafeInteger(a) && Number.isSafeInteger(b)) return a / b;
    return Number.isFinite(a) && Number.isFinite(b) && b !== 0 ? quotientOf(decimalOf(a), decimalOf(b)) : a / b;
  },
};

function decimally({ quick, exact }: Operation): Calculate {
  return (a, b) => {
    const result = quick(a, b);
    if (Number.isSafeInteger(a) && Number.isSafeInteger(b) && Number.isSafeInteger(result)) return result;
    if (!Number.isFinite(a) || !Number.isFinite(b)) return result;
    return Number(formatDecimal(exact(decimalOf(a), decimalOf(b))));
  };
}

type Operator = keyof typeof calculate;
const operators = Object.keys(calculate) as Operator[];

/** Gives an environment the arithmetic of a whole number of CEL with any other: JSON does not distinguish integers. */
export function registerMixed(environment: Environment): Environment {
  for (const op of operators) {
    const handler = (a: number | bigint, b: number | bigint) => mixed(op, a, b);
    environment.registerOperator(`int ${op} double: dyn`, handler).registerOperator(`double ${op} int: dyn`, handler);
  }
  return environment;
}

/** One of the numbers is a bigint: a literal, a size, or a whole number of the data that a double does not hold. */
function mixed(op: Operator, a: number | bigint, b: number | bigint): number | bigint {
  const [left, right] = [Number(a), Number(b)];
  const isHeld = (exact: number | bigint, rounded: number) =>
    typeof exact === 'number' || Number.isSafeInteger(rounded);
  if (isHeld(a, left) && isHeld(b, right)) return calculate[op](left, right);
  if (!Number.isFinite(left) || !Number.isFinite(right) || op === '/') return calculate[op](left, right);
  const result = operations[op].exact(decimalOf(a), decimalOf(b));
  if (result.scale > 0) return Number(formatDecimal(result));
  if (BigInt.asIntN(64, result.unscaled) === result.unscaled) return result.unscaled;
  throw new EvaluationError(`integer overflow: ${op}`);
}

/** What the interpreter keeps at a checked node of an operator: the function that calculates it. */
type Checked = ASTNode & { handle: (a: unknown, b: unknown, ...rest: unknown[]) => unknown };

/**
 * Lets a checked expression calculate with decimals where the interpreter evaluates it: the interpreter does not let its own operators on
 * doubles be replaced.
 */
export function useDecimals(ast: ASTNode): void {
  for (const node of nodesOf(ast)) {
    if (!Object.hasOwn(calculate, node.op)) continue;
    const own = calculate[node.op as Operator];
    const checked = node as Checked;
    const { handle } = checked;
    checked.handle = (a, b, ...rest) =>
      typeof a === 'number' && typeof b === 'number' ? own(a, b) : handle(a, b, ...rest);
  }
}
