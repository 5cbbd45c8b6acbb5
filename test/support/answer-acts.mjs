/** Lets the parent process call `acts`, each with one argument; the process ends when the parent does. */
export function answerActs(acts) {
  process.on('message', async ({ id, act, args }) => {
    try {
      process.send({ id, value: await acts[act](args) });
    } catch (error) {
      process.send({ id, error: `${error.code ?? error.name}: ${error.message}` });
    }
  });
  process.on('disconnect', () => process.exit());
  process.send({ ready: true });
}
