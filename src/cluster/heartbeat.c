/* The heartbeat stream: connecting, sending on time, taking in what metasrv says (heartbeat.md 3 to 5).
 *
 * One thread does it all and does the polling itself, so that a heartbeat needs nobody else to be scheduled. What can take long (instructions) goes
 * to the executor; leases are applied right here, because they must not wait behind an instruction.
 *
 *   connect: ask all addresses for the leader ──► stream ──► handshake ──► its answer brings the interval
 *   then:    timer ──► full heartbeat    |    reply queued ──► mailbox heartbeat    |    response ──► lease, then instruction
 *   a stream that ends, or says nothing for a whole lease, is closed before the next one is opened: metasrv keeps one per node
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metrics.h"
#include "cluster/internal.h"

enum {
    HANDSHAKE_MS = 3000,
    DEFAULT_INTERVAL_MS = 3000,
    INTERVAL_MIN_MS = 10,
    INTERVAL_MAX_MS = 3600000,
    LEASE_SECONDS_MAX = 86400,
    USAGE_MS = 5000,
    OUTGOING_MAX = 4096,
    REPLY_BYTES_MAX = 64 << 20,
    SEND_STUCK_MS = 3000,
};

static struct metric_family received_family = {
    .name = "greptime_last_received_heartbeat_lease_elapsed", .help = "last received heartbeat lease elapsed", .kind = METRIC_GAUGE};
static struct metric_family sent_family = {
    .name = "greptime_last_sent_heartbeat_lease_elapsed", .help = "last sent heartbeat lease elapsed", .kind = METRIC_GAUGE};
static struct metric_family leases_family = {
    .name = "greptime_heartbeat_region_leases", .help = "received region leases via heartbeat", .kind = METRIC_GAUGE, .label_names = {"region_role"}};
static struct metric_family sends_family = {
    .name = "greptime_datanode_heartbeat_send_count", .help = "datanode heartbeat sent", .kind = METRIC_COUNTER};
static struct metric_family replies_family = {
    .name = "greptime_datanode_heartbeat_recv_count", .help = "datanode heartbeat received", .kind = METRIC_COUNTER, .label_names = {"result"}};
static struct metric_family late_family = {
    .name = "regiond_heartbeats_late_total", .help = "heartbeats that left more than an interval late", .kind = METRIC_COUNTER};
static struct metric_family cpu_family = {
    .name = "regiond_heartbeat_cpu_microseconds_total", .help = "CPU of the heartbeat thread", .kind = METRIC_COUNTER};
static struct metric_family ignored_family = {.name = "regiond_heartbeat_responses_ignored_total",
                                              .help = "responses of metasrv that were not believed",
                                              .kind = METRIC_COUNTER,
                                              .label_names = {"why"}};

static struct metric *labelled(struct metric_family *family, const char *label)
{
    const char *labels[] = {label, NULL};
    return metric_child(family, labels);
}

/* What no metasrv should send. */
static void ignore(const char *why, const char *detail)
{
    metric_add(labelled(&ignored_family, why), 1);
    log_warn("cluster", "a response of metasrv was ignored (%s): %s", why, detail);
}

/* ---- sending ---- */

static int send_bytes(struct cluster *c, const struct dynbuf *message, bool gzipped, struct error *err)
{
    static _Atomic int64_t last_ns;
    TRY(rpc_stream_send(c->stream, message->data, message->size, gzipped, err));
    int64_t now_ns = clock_monotonic_ns(), before_ns = atomic_exchange(&last_ns, now_ns);
    metric_add(metric_plain(&sends_family), 1);
    metric_set(metric_plain(&sent_family), before_ns ? (now_ns - before_ns) / 1000000 : 0);
    return ST_OK;
}

/* The oldest reply, if the stream is free for it. c->lock held. */
static void send_reply(struct cluster *c)
{
    struct outgoing *o = c->first;
    if (!o || !rpc_stream_can_send(c->stream))
        return;
    struct dynbuf message;
    struct error err;
    struct node_usage usage = {.running_gc = executor_running_gc(c->executor)};
    dynbuf_init(&message, REPLY_BYTES_MAX + (1 << 16));
    int rc = message_put_node(&message, &c->identity, 0, &usage, &err);
    if (rc == ST_OK)
        rc = message_put_mailbox(&message, &o->to, (const char *)o->json.data, o->json.size, clock_wall_ms(), &err);
    bool sent = rc == ST_OK && send_bytes(c, &message, false, NULL) == ST_OK;
    dynbuf_release(&message);
    if (rc == ST_OK && !sent)
        return; /* it stays for the next stream */
    metric_add(labelled(&replies_family, sent ? "success" : "error"), 1);
    if (!sent)
        log_error("cluster", "a reply to metasrv cannot be written: %s", err.msg);
    c->first = o->next;
    if (!c->first)
        c->last = &c->first;
    c->n_outgoing--;
    dynbuf_release(&o->json);
    mailbox_message_release(&o->to);
    free(o);
}

static char *copy_text(const char *text)
{
    return strdup(text ? text : "");
}

void heartbeat_reply(void *cluster, const struct mailbox_message *to, const char *json, size_t size)
{
    struct cluster *c = cluster;
    struct outgoing *o = calloc(1, sizeof(*o));
    if (o) {
        dynbuf_init(&o->json, REPLY_BYTES_MAX);
        o->to = (struct mailbox_message){to->id, copy_text(to->subject), copy_text(to->from), copy_text(to->to), NULL};
    }
    if (!o || !o->to.subject || !o->to.from || !o->to.to || dynbuf_append(&o->json, json, size, NULL) != ST_OK) {
        log_error("cluster", "no memory for the reply to \"%.200s\"; metasrv will ask again", to->subject ? to->subject : "");
        if (o) {
            dynbuf_release(&o->json);
            mailbox_message_release(&o->to);
        }
        free(o);
        return;
    }
    pthread_mutex_lock(&c->lock);
    if (c->n_outgoing >= OUTGOING_MAX) {
        struct outgoing *oldest = c->first; /* its asker has given up long ago */
        log_warn("cluster", "%u replies wait for metasrv: the oldest, to \"%.200s\", is dropped", c->n_outgoing, oldest->to.subject);
        c->first = oldest->next;
        c->n_outgoing--;
        dynbuf_release(&oldest->json);
        mailbox_message_release(&oldest->to);
        free(oldest);
    }
    *c->last = o;
    c->last = &o->next;
    c->n_outgoing++;
    send_reply(c);
    pthread_mutex_unlock(&c->lock);
}

static void refresh_usage(struct cluster *c, int64_t now_ns)
{
    uint64_t us, bytes;
    if (c->usage_at_ns && now_ns - c->usage_at_ns < USAGE_MS * 1000000LL)
        return;
    if (cgroup_cpu_usage_us(&us)) {
        int64_t ms = (now_ns - c->usage_at_ns) / 1000000;
        uint64_t delta = us > c->usage_us && c->usage_at_ns ? us - c->usage_us : 0;
        c->usage.cpu_millicores = ms > 0 ? (delta + (uint64_t)ms / 2) / (uint64_t)ms : 0;
        c->usage.cpu_millicores += delta && !c->usage.cpu_millicores;
        c->usage_us = us;
    }
    c->usage.memory_bytes = cgroup_memory_bytes(&bytes) ? bytes : 0;
    c->usage_at_ns = now_ns;
}

/* The regions' state could not be taken in, for want of memory: the last one goes out again, so that the node does not seem dead. */
static int build_heartbeat(struct cluster *c, int64_t now_ns, int64_t *ret_duration_ms, bool *ret_gzipped, struct error *err)
{
    struct error why;
    int64_t duration_ms = (now_ns - c->epoch_ns) / 1000000;
    refresh_usage(c, now_ns);
    c->usage.running_gc = executor_running_gc(c->executor);
    if (report_update(c->report, c->options.regions, &why) != ST_OK)
        log_warn("cluster", "the heartbeat reports the regions as they were: %s", why.msg);
    dynbuf_clear(&c->node_bytes);
    TRY(message_put_node(&c->node_bytes, &c->identity, (uint64_t)duration_ms, &c->usage, err));
    TRY(report_write(c->report, &c->node_bytes, &c->message, ret_gzipped, err));
    *ret_duration_ms = duration_ms;
    return ST_OK;
}

static int send_heartbeat(struct cluster *c, struct error *err)
{
    int64_t now_ns = clock_monotonic_ns(), cpu_ns = clock_thread_cpu_ns(), duration_ms = 0;
    bool gzipped;
    TRY(build_heartbeat(c, now_ns, &duration_ms, &gzipped, err));
    c->last_sent_ms = duration_ms;
    c->awaited = true;
    TRY(send_bytes(c, &c->message, gzipped, err));
    cpu_ns = clock_thread_cpu_ns() - cpu_ns;
    pthread_mutex_lock(&c->lock);
    c->state.heartbeat_cpu_us = cpu_ns / 1000;
    c->state.heartbeat_bytes = c->message.size;
    c->state.reported_regions = report_regions(c->report);
    pthread_mutex_unlock(&c->lock);
    return ST_OK;
}

/* ---- receiving ---- */

static void close_regions(struct cluster *c, const struct heartbeat_response *resp, int64_t sent_ns)
{
    for (size_t i = 0; i < resp->n_closeable; i++) {
        /* Through the executor, in order with the region's instructions: closing may have to wait for a flush. */
        char json[200];
        struct instruction *instruction;
        struct mailbox_message nobody = {0};
        struct error err;
        uint64_t id = resp->closeable[i];
        if (!region_server_follow_closeable(c->options.regions, id, sent_ns))
            continue;
        snprintf(json, sizeof(json), "{\"CloseRegions\":[{\"table_id\":%u,\"region_number\":%u}]}", (unsigned)(id >> 32), (unsigned)id);
        int rc = instruction_parse(json, strlen(json), &instruction, &err);
        if (rc == ST_OK) {
            instruction->is_async = true; /* nobody waits for an answer */
            instruction->sent_ns = sent_ns;
            rc = executor_submit(c->executor, instruction, &nobody, &err);
        }
        if (rc)
            log_warn("cluster", "region %llu, which metasrv wants closed, is still open: %s", (unsigned long long)id, err.msg);
    }
}

static void note_lease(struct cluster *c, const struct heartbeat_response *resp, const struct region_grant_counts *counts)
{
    int64_t now_ns = clock_monotonic_ns();
    metric_set(metric_plain(&received_family), c->leased_at_ns ? (now_ns - c->leased_at_ns) / 1000000 : 0);
    metric_set(labelled(&leases_family, "leader"), counts->leaders);
    metric_set(labelled(&leases_family, "follower"), counts->followers);
    if (counts->promoted)
        log_info("cluster", "%u regions are led from here now, by metasrv's lease", counts->promoted);
    if (counts->stale) { /* of every other migration: the answer was on its way as the instruction came */
        metric_add(labelled(&ignored_family, "stale_lease"), 1);
        log_info("cluster", "a lease leaves %u regions as they are: an instruction has changed their roles since the heartbeat that it answers",
                 counts->stale);
    }
    pthread_mutex_lock(&c->lock);
    c->leased_at_ns = now_ns;
    c->state.leaders = counts->leaders;
    c->state.followers = counts->followers;
    c->state.unknown = counts->unknown;
    c->state.lease_seconds = (int64_t)resp->lease_seconds;
    pthread_cond_broadcast(&c->wake); /* the keeper looks again */
    pthread_mutex_unlock(&c->lock);
}

static void take_lease(struct cluster *c, const struct heartbeat_response *resp)
{
    struct region_grant_counts counts;
    if (resp->duration_ms == (uint64_t)c->last_sent_ms)
        c->awaited = false;
    if (resp->duration_ms > (uint64_t)c->last_sent_ms || resp->lease_seconds > LEASE_SECONDS_MAX) {
        ignore("lease_from_the_future", "a lease answers a heartbeat that was never sent, or is longer than a day");
        return;
    }
    int64_t sent_ns = c->epoch_ns + (int64_t)resp->duration_ms * 1000000;
    region_server_grant(c->options.regions, resp->grants, resp->n_grants, sent_ns, sent_ns + (int64_t)resp->lease_seconds * 1000000000, &counts);
    note_lease(c, resp, &counts);
    close_regions(c, resp, sent_ns);
}

static void take_instruction(struct cluster *c, struct heartbeat_response *resp)
{
    struct instruction *instruction;
    struct error err;
    const char *json = resp->mailbox.json ? resp->mailbox.json : "", *subject = resp->mailbox.subject ? resp->mailbox.subject : "";
    if (instruction_parse(json, strlen(json), &instruction, &err) != ST_OK) {
        /* As the peer: no answer, so that metasrv runs into its time-out. */
        metric_add(labelled(&ignored_family, err.status == ST_UNSUPPORTED ? "unknown_instruction" : "bad_instruction"), 1);
        log_warn("cluster", "an instruction of metasrv (\"%.100s\") is not carried out: %s", subject, err.msg);
        return;
    }
    if (instruction->kind == INSTRUCTION_SUSPEND) {
        log_warn("cluster", "metasrv suspends queries on this node");
        region_server_set_suspended(c->options.regions, true);
    }
    for (uint32_t k = 0; k < instruction->n_databases; k++)
        records_forget_database(c->records, instruction->databases[k]);
    if (instruction->kind == INSTRUCTION_SUSPEND || instruction->kind == INSTRUCTION_INVALIDATE) {
        instruction_free(instruction);
        return;
    }
    if (executor_submit(c->executor, instruction, &resp->mailbox, &err) != ST_OK)
        log_error("cluster", "an instruction of metasrv (\"%.100s\") is dropped: %s; metasrv will ask again", subject, err.msg);
}

/* One response behind the handshake. False: the stream is of no use any more. */
static bool take_response(struct cluster *c, const struct buffer *message, struct error *err)
{
    struct heartbeat_response resp;
    if (message_read_heartbeat(message->data, message->size, &resp, err) != ST_OK) {
        ignore("malformed", err->msg);
        return false;
    }
    bool good = !resp.error_code;
    if (!good)
        error_set(err, ST_STORAGE, "metasrv answers with error %d: %s", (int)resp.error_code, resp.error_text);
    if (good && resp.has_lease)
        take_lease(c, &resp);
    if (good && resp.has_mailbox)
        take_instruction(c, &resp);
    else if (good)
        region_server_set_suspended(c->options.regions, false);
    heartbeat_response_release(&resp);
    if (good) {
        pthread_mutex_lock(&c->lock);
        c->answered = true;
        pthread_cond_broadcast(&c->wake);
        pthread_mutex_unlock(&c->lock);
    }
    return good;
}

/* ---- connecting ---- */

static int64_t clamp_ms(uint64_t ms)
{
    return ms < INTERVAL_MIN_MS ? DEFAULT_INTERVAL_MS : ms > INTERVAL_MAX_MS ? INTERVAL_MAX_MS : (int64_t)ms;
}

static int read_handshake(struct cluster *c, const struct buffer *message, struct error *err)
{
    struct heartbeat_response resp;
    TRY(message_read_heartbeat(message->data, message->size, &resp, err));
    int rc = resp.error_code ? error_set(err, ST_STORAGE, "metasrv refuses the handshake with error %d: %s", (int)resp.error_code, resp.error_text)
                             : ST_OK;
    if (rc == ST_OK) {
        c->interval_ms = resp.has_config ? clamp_ms(resp.interval_ms) : DEFAULT_INTERVAL_MS;
        c->retry_ms = resp.has_config ? clamp_ms(resp.retry_ms) : DEFAULT_INTERVAL_MS;
    }
    heartbeat_response_release(&resp);
    return rc;
}

static int handshake(struct cluster *c, struct error *err)
{
    struct dynbuf request;
    struct buffer *message = NULL;
    int64_t deadline_ns = clock_monotonic_ns() + HANDSHAKE_MS * 1000000LL;
    TRY(rpc_stream_open(c->stream, c->channel, "/greptime.v1.meta.Heartbeat/Heartbeat", err));
    dynbuf_init(&request, 256);
    int rc = message_put_header(&request, c->options.node_id, err);
    if (rc == ST_OK)
        rc = send_bytes(c, &request, false, err);
    dynbuf_release(&request);
    while (rc == ST_OK && !message) {
        enum rpc_stream_event what = rpc_stream_wait(c->stream, deadline_ns, &message, err);
        if (what == RPC_STREAM_TIMEOUT)
            rc = error_set(err, ST_DEADLINE_EXCEEDED, "metasrv does not answer the handshake");
        else if (what == RPC_STREAM_ENDED)
            rc = err && err->status ? (int)err->status : ST_STORAGE;
    }
    if (rc == ST_OK)
        rc = read_handshake(c, message, err);
    buffer_unref(message);
    return rc;
}

static void disconnect(struct cluster *c, const struct error *why)
{
    rpc_stream_close(c->stream);
    rpc_channel_free(c->channel);
    c->channel = NULL;
    pthread_mutex_lock(&c->lock);
    c->state.connected = false;
    if (why)
        snprintf(c->state.last_error, sizeof(c->state.last_error), "%.190s", why->msg);
    pthread_mutex_unlock(&c->lock);
}

int heartbeat_connect(struct cluster *c, struct error *err)
{
    char addr[METASRV_ADDR_MAX] = "";
    disconnect(c, NULL);
    TRY(metasrv_ask_leader(c->metasrv, &c->stop, &c->channel, addr, err));
    int rc = handshake(c, err);
    if (rc) {
        disconnect(c, err);
        return rc;
    }
    log_info("cluster", "Handshake successful with Metasrv at %s, received config: interval=%lldms, retry=%lldms", addr, (long long)c->interval_ms,
             (long long)c->retry_ms);
    pthread_mutex_lock(&c->lock);
    c->state.connected = true;
    c->state.interval_ms = c->interval_ms;
    snprintf(c->state.leader, sizeof(c->state.leader), "%s", addr);
    c->connected_at_ns = clock_monotonic_ns();
    pthread_mutex_unlock(&c->lock);
    return ST_OK;
}

/* ---- the thread ---- */

/* Waits `ms`, or less when the node stops. */
static void pause_for(struct cluster *c, int64_t ms)
{
    for (int64_t end_ns = clock_monotonic_ns() + ms * 1000000; !atomic_load(&c->stop) && clock_monotonic_ns() < end_ns;)
        clock_sleep_ns(20000000);
}

static void reconnect(struct cluster *c, const struct error *why)
{
    struct error err;
    log_warn("cluster", "the heartbeat stream to metasrv is lost: %s; regions stay writable until their leases run out, and the leader is looked for",
             why->msg);
    disconnect(c, why);
    while (!atomic_load(&c->stop) && heartbeat_connect(c, &err) != ST_OK) {
        log_warn("cluster", "metasrv cannot be reached: %s; next try in %lld ms", err.msg, (long long)c->retry_ms);
        pthread_mutex_lock(&c->lock);
        snprintf(c->state.last_error, sizeof(c->state.last_error), "%.190s", err.msg);
        pthread_mutex_unlock(&c->lock);
        pause_for(c, c->retry_ms);
    }
    pthread_mutex_lock(&c->lock);
    c->state.reconnects++;
    pthread_mutex_unlock(&c->lock);
}

struct beat {
    int64_t due_ns, heard_ns, send_started_ns;
};

static void note_late(struct cluster *c, int64_t late_ns)
{
    metric_add(metric_plain(&late_family), 1);
    log_warn("cluster", "a heartbeat leaves %lld ms late: the machine is overloaded or the process was stopped", (long long)(late_ns / 1000000));
    pthread_mutex_lock(&c->lock);
    c->state.late++;
    pthread_mutex_unlock(&c->lock);
}

/* When the next heartbeat goes out. While the last one's lease is awaited it is held back: a metasrv that needs longer than an interval would answer
 * ever older ones, whose leases are over when they come. Not for long: the answer may be lost. */
static int64_t next_beat_ns(const struct cluster *c, const struct beat *b)
{
    int64_t half_lease_ms = (3 * c->interval_ms + 1000) / 2, hold_ms = 2 * c->interval_ms < half_lease_ms ? 2 * c->interval_ms : half_lease_ms;
    int64_t held_ns = b->send_started_ns + hold_ms * 1000000;
    return c->awaited && held_ns > b->due_ns ? held_ns : b->due_ns;
}

/* The timer has come. False with the reason: the stream is stuck. */
static bool beat(struct cluster *c, struct beat *b, struct error *err)
{
    int64_t now_ns = clock_monotonic_ns(), silent_ms = 3 * c->interval_ms + 1000;
    if (now_ns - b->heard_ns > silent_ms * 1000000) {
        error_set(err, ST_DEADLINE_EXCEEDED, "metasrv has said nothing for %lld ms", (long long)((now_ns - b->heard_ns) / 1000000));
        return false;
    }
    if (!rpc_stream_can_send(c->stream)) { /* the last message has not gone out: once it has, this one follows */
        error_set(err, ST_DEADLINE_EXCEEDED, "a message to metasrv has not gone out for %d ms", SEND_STUCK_MS);
        return now_ns - b->send_started_ns < SEND_STUCK_MS * 1000000LL + c->interval_ms * 1000000;
    }
    int64_t late_ns = now_ns - next_beat_ns(c, b);
    if (late_ns > c->interval_ms * 1000000)
        note_late(c, late_ns);
    b->send_started_ns = now_ns;
    b->due_ns = now_ns + c->interval_ms * 1000000;
    return send_heartbeat(c, err) == ST_OK;
}

/* Until the stream is of no use; `err` says why. */
static void serve_stream(struct cluster *c, struct error *err)
{
    int64_t now_ns = clock_monotonic_ns();
    struct beat b = {.due_ns = now_ns, .heard_ns = now_ns, .send_started_ns = now_ns};
    c->awaited = false; /* what the last stream owes */
    bool good = true;
    while (good && !atomic_load(&c->stop)) {
        struct buffer *message = NULL;
        int64_t cpu_ns = clock_thread_cpu_ns();
        now_ns = clock_monotonic_ns();
        if (now_ns >= next_beat_ns(c, &b))
            good = beat(c, &b, err);
        if (!good)
            break;
        int64_t due_ns = next_beat_ns(c, &b);
        bool busy = !rpc_stream_can_send(c->stream) && due_ns <= now_ns, held = c->awaited;
        switch (rpc_stream_wait(c->stream, busy ? now_ns + 100000000 : due_ns, &message, err)) {
        case RPC_STREAM_MESSAGE:
            b.heard_ns = clock_monotonic_ns();
            good = take_response(c, message, err);
            if (held && !c->awaited && b.due_ns < b.heard_ns)
                b.due_ns = b.heard_ns; /* it was held back, it is not late */
            buffer_unref(message);
            break;
        case RPC_STREAM_SENT:
            pthread_mutex_lock(&c->lock);
            send_reply(c);
            pthread_mutex_unlock(&c->lock);
            break;
        case RPC_STREAM_ENDED:
            good = false;
            break;
        default:
            break;
        }
        metric_add(metric_plain(&cpu_family), (clock_thread_cpu_ns() - cpu_ns) / 1000);
    }
}

void *heartbeat_main(void *cluster)
{
    struct cluster *c = cluster;
    thread_prefer();
    while (!atomic_load(&c->stop)) {
        struct error err = {.msg = "the stream was closed"};
        serve_stream(c, &err);
        if (!atomic_load(&c->stop))
            reconnect(c, &err);
    }
    disconnect(c, NULL);
    return NULL;
}
