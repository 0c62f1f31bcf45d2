import { CodedError } from '#platform/errors';
import type { ErrorCatalogue } from '#platform/errors';

/** The errors of the operator runtime. */
export const runtimeErrors = {
  ERR_KUBERNETES_ANSWER: {
    means: 'The API server has refused a request; the message has its status and reason.',
    action: 'For 403 see the role of the operator; for 409 and 429 nothing: it tries again. Else see the message.',
  },
  ERR_KUBERNETES_CONNECTION: {
    means: 'The operator does not know which cluster to use.',
    action: 'Run it in a cluster, or set KUBECONFIG to a file that has a current context.',
  },
  ERR_KUBERNETES_WATCH_SILENT: {
    means: 'A watch has been silent for longer than bookmarks allow: its connection is dead.',
    action: 'Nothing: the watch is begun again.',
  },
  ERR_OPERATOR_INDEX: {
    means: 'A controller asks an informer for an index that it does not have.',
    action: 'Report it: this is a fault of the controller.',
  },
  ERR_OPERATOR_NOT_READY: {
    means: 'The operator has not listed all kinds that it watches.',
    action: 'Nothing, within the first seconds. Else see whether the CRDs are installed and its role may list them.',
  },
  ERR_OPERATOR_OWNER: {
    means: 'An object is to be owned by one that the API does not have.',
    action: 'Report it: this is a fault of the controller.',
  },
  ERR_OPERATOR_STOPPING: {
    means: 'Work was ended because the operator stops.',
    action: 'Nothing: the next leader does it.',
  },
  ERR_OPERATOR_STUCK: {
    means: 'A controller gives no sign of life. The liveness probe ends the process.',
    action: 'Nothing: Kubernetes restarts the process. If it comes back, see the log before the restart.',
  },
  ERR_OPERATOR_THROWN: {
    means: 'A reconcile threw something that is no error.',
    action: 'Report it: this is a fault of the controller.',
  },
} as const satisfies ErrorCatalogue;

/** An error of the operator runtime. */
export class RuntimeError extends CodedError<keyof typeof runtimeErrors> {
  override name = 'RuntimeError';
}
