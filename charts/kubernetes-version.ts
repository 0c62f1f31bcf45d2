/** The version of Kubernetes that the charts are rendered for where no cluster has one. */
export const kubernetesVersion = '1.34.0';
