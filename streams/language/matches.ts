import type { ASTNode, Environment } from '@marcbachmann/cel-js';
import { RE2JS, RE2JSException } from 're2js';
import { nodesOf } from './nodes.ts';

/** The name under which the interpreter finds this `matches`: it does not let a function of its own be replaced. */
const linearMatches = 'matchesInLinearTime';

/** A `matches` whose regular expression cannot be used; `offset` counts characters of the source. */
export interface PatternFault {
  message: string;
  offset: number;
}

/** No expression needs more, and the time to match a text grows with it. */
const maxPatternLength = 500;

const compiled = new Map<string, RE2JS>();

/**
 * Gives an environment a `matches` of RE2, as CEL says: it takes linear time, whatever the text is. RegExp backtracks, so that
 * one event could stop a worker for good.
 */
export function registerMatches(environment: Environment): Environment {
  return environment.registerFunction(`string.${linearMatches}(string): bool`, (text: string, pattern: string) =>
    compiled.get(pattern)!.test(text),
  );
}

/**
 * Lets an expression use that `matches`, before it is checked. The regular expression must be a literal: one from an event would
 * let its sender choose the work.
 */
export function useLinearMatches(ast: ASTNode): PatternFault | undefined {
  for (const node of nodesOf(ast)) {
    if (node.op !== 'rcall' || node.args[0] !== 'matches' || node.args[2].length !== 1) continue;
    const [argument] = node.args[2] as [ASTNode];
    const fault = compile(argument);
    if (fault !== undefined) return { message: fault, offset: argument.start };
    node.args[0] = linearMatches;
  }
  return undefined;
}

/** The message of an error with the name that the author of the query knows. */
export function withKnownNames(message: string): string {
  return message.replaceAll(linearMatches, 'matches');
}

/** Compiles a regular expression, once for all queries. @returns what is wrong with it */
function compile(argument: ASTNode): string | undefined {
  if (argument.op !== 'value' || typeof argument.args !== 'string') {
    return 'the regular expression of matches must be a literal text';
  }
  const pattern = argument.args;
  if (pattern.length > maxPatternLength) return `a regular expression has at most ${maxPatternLength} characters`;
  try {
    if (!compiled.has(pattern)) compiled.set(pattern, RE2JS.compile(pattern));
    return undefined;
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    return `${error.message}; matches takes the syntax of RE2, which has no lookaround and no backreference`;
  }
}
