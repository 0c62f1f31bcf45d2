/** The one field manager of what this operator applies. */
export const manager = 'millrace-operator';

/** The labels of every object that the operator creates. Of other kinds than its own, it watches only objects with these labels. */
export const managedBy = { 'app.kubernetes.io/managed-by': manager };
export const managedSelector = `app.kubernetes.io/managed-by=${manager}`;

/** Names the EventService or StreamQuery that an object was created for, and that may change it. */
export const madeForLabel = 'millrace.dev/made-for';
