// A Node process beside our workers: bull-board over our queue, and what bullmq itself says of a job.
import { createBullBoard } from "@bull-board/api";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import { ExpressAdapter } from "@bull-board/express";
import { Queue } from "bullmq";
import express from "express";
import IORedis from "ioredis";

const connection = new IORedis({ path: process.argv[2], maxRetriesPerRequest: null });
const queue = new Queue("issuewright", { connection });
const adapter = new ExpressAdapter();
adapter.setBasePath("/board");
createBullBoard({ queues: [new BullMQAdapter(queue)], serverAdapter: adapter });

const app = express();
app.use("/board", adapter.getRouter());
app.get("/job/:id", async (request, response) => {
  const job = await queue.getJob(request.params.id);
  response.json(job && { name: job.name, data: job.data, state: await job.getState(), why: job.failedReason });
});
app.post("/add/:id", async (request, response) => {
  await queue.add("send-invoice", { of: "another system" }, { jobId: request.params.id, attempts: 3 });
  response.json({});
});
const server = app.listen(0, "127.0.0.1", () => console.log(JSON.stringify(server.address())));
process.stdin.resume().on("end", () => process.exit(0)); // ends with the test, however that dies
