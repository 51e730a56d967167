export async function checkGates(..._: unknown[]): Promise<boolean> { return true; }
