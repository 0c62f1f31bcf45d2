import { CodedError } from '#platform/errors';
import type { ErrorCatalogue } from '#platform/errors';

/** The errors of the operator runtime. */
export const runtimeErrors = {
  ERR_KUBERNETES_ANSWER: {
    means: 'The API server has refused a request; the message has its status and reason.',
    action:
      'For 403 check the role of the operator; for 409 and 429 nothing: it tries again. Otherwise follow the message.',
  },
  ERR_KUBERNETES_CONNECTION: {
    means: 'The operator does not know which cluster to use.',
    action: 'Run it in a cluster, or set KUBECONFIG to a file that has a current context.',
  },
  ERR_KUBERNETES_WATCH_SILENT: {
    means: 'A watch has been silent for longer than bookmarks allow: its connection is dead.',
    action: 'Nothing: the watch starts again.',
  },
  ERR_OPERATOR_INDEX: {
    means: 'A controller asks an informer for an index that it does not have.',
    action: 'Report it: this is a fault of the controller.',
  },
  ERR_OPERATOR_NOT_READY: {
    means: 'The operator has not listed all kinds that it watches.',
    action: 'Nothing in the first seconds. Otherwise check whether the CRDs are installed and its role may list them.',
  },
  ERR_OPERATOR_OWNER: {
    means: 'The owner of an object does not exist in the API.',
    action: 'Report it: this is a fault of the controller.',
  },
  ERR_OPERATOR_STOPPING: {
    means: 'Work was ended because the operator stops.',
    action: 'Nothing: the next leader does it.',
  },
  ERR_OPERATOR_STUCK: {
    means: 'A controller gives no sign of life. The liveness probe ends the process.',
    action: 'Nothing: Kubernetes restarts the process. If the error returns, read the log before the restart.',
  },
  ERR_OPERATOR_THROWN: {
    means: 'A reconcile threw a value that is not an Error.',
    action: 'Report it: this is a fault of the controller.',
  },
} as const satisfies ErrorCatalogue;

/** An error of the operator runtime. */
export class RuntimeError extends CodedError<keyof typeof runtimeErrors> {
  override name = 'RuntimeError';
}
