import type { Contract, Operation } from '#platform/contract';
import { routesOf } from '#platform/http';

/** One operation at one of its public addresses. */
export interface Route {
  /** method and path template, of low cardinality: the name of spans and metrics, as in `GET /api/orders/{id}` */
  name: string;
  template: string;
  /** path template on the service */
  path: string;
  /** the name of the service */
  upstream: string;
  /** the prefix of the public path: `/api` or nothing */
  prefix: string;
  /** whether the answer is an event stream without an end */
  streams: boolean;
  /** the role that it needs where authentication is on */
  role: string | undefined;
}

export type Match =
  | { kind: 'route'; route: Route; /** path and query on the service */ target: string }
  | { kind: 'wrong-method'; allow: string }
  | { kind: 'unknown' };

interface Leaf {
  methods: Map<string, Route>;
  allow: string;
}

interface Node {
  literals: Map<string, Node>;
  parameter?: Node;
  leaf?: Leaf;
}

const unknown: Match = { kind: 'unknown' };

/** Finds the operation of a request. Literal segments win over parameters, such as `/orders/statistics` over `/orders/{id}`. */
export class Routes {
  readonly #root: Node = { literals: new Map() };

  constructor(contracts: readonly Contract[]) {
    for (const { operations, prefixes, role } of contracts) {
      for (const { path, operations: here, allow } of routesOf(Object.values(operations))) {
        for (const prefix of prefixes) {
          const node = this.#node(prefix + path);
          node.allow = allow;
          for (const operation of here) add(node.methods, operation, prefix, role);
        }
      }
    }
  }

  /**
   * @param method in capitals, as on the wire
   * @param url request target in origin form: path and query
   */
  match(method: string, url: string): Match {
    const end = url.indexOf('?');
    let path = end === -1 ? url : url.slice(0, end);
    if (path.length > 1 && path.endsWith('/')) path = path.slice(0, -1);
    const leaf = find(this.#root, path.split('/'), 1);
    if (!leaf) return unknown;
    const route = leaf.methods.get(method);
    if (!route) return { kind: 'wrong-method', allow: leaf.allow };
    return { kind: 'route', route, target: url.slice(route.prefix.length) };
  }

  #node(template: string): Leaf {
    let node = this.#root;
    for (const segment of template.split('/').slice(1)) node = child(node, segment);
    return (node.leaf ??= { methods: new Map(), allow: '' });
  }
}

function add(methods: Map<string, Route>, operation: Operation, prefix: string, role: string | undefined): void {
  const method = operation.method.toUpperCase();
  const template = prefix + operation.path;
  const route: Route = {
    name: `${method} ${template}`,
    template,
    path: operation.path,
    upstream: operation.service,
    prefix,
    streams: Object.values(operation.responses).some(({ contentType }) => contentType === 'text/event-stream'),
    role,
  };
  methods.set(method, route);
  if (method === 'GET') methods.set('HEAD', { ...route, name: `HEAD ${template}` });
}

function child(node: Node, segment: string): Node {
  if (segment.startsWith('{')) return (node.parameter ??= { literals: new Map() });
  const known = node.literals.get(segment);
  if (known) return known;
  const added: Node = { literals: new Map() };
  node.literals.set(segment, added);
  return added;
}

/** Depth first, literals before parameters; a path has few segments and a node at most two branches. */
function find(node: Node, segments: readonly string[], index: number): Leaf | undefined {
  if (index === segments.length) return node.leaf;
  const segment = segments[index] ?? '';
  const literal = node.literals.get(segment);
  const found = literal && find(literal, segments, index + 1);
  if (found) return found;
  return node.parameter && segment !== '' ? find(node.parameter, segments, index + 1) : undefined;
}
