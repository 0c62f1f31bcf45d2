import { output } from '../../tests/cluster/platform/cluster.ts';

/** In the cluster of the current context, and in no namespace of its own. */
export const kubectl = (...args: string[]): Promise<string> => output('kubectl', args);
