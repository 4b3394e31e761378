// Serves the package's own Statement resource from memory. Prints its port.
const base = '@learninglocker/xapi-statements/dist/';
const express = require('express');
const load = (name) => require(base + name).default;
const logger = { error() {}, warn() {}, info() {}, debug() {}, silly() {} };
const tracker = load('tracker');
const repo = Object.assign(
  {},
  load('repo/authRepo/factory')({ facade: 'test' }),
  load('repo/eventsRepo/factory')({ facade: 'test' }),
  load('repo/modelsRepo/factory')({ facade: 'memory' }),
  load('repo/storageRepo/factory')({ facade: 'memory' }),
);
const options = Object.assign({ repo, tracker, logger }, load('config').service, { awaitUpdates: true });
const presenter = load('expressPresenter')({
  service: load('service')(options),
  translator: load('translatorFactory')(),
  tracker,
  logger,
  customRoute: 'status',
  customRouteText: 'ok',
  bodyParserLimit: '50mb',
  morganDirectory: process.argv[2],
});
const { aboutRoute, statementsRoute } = require(base + 'utils/constants');
const app = express();
app.use(aboutRoute, presenter.aboutRouter);
app.use(statementsRoute, presenter.statementsRouter);
const server = app.listen(0, '127.0.0.1', () => console.log(server.address().port));
