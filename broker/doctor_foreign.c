/*
 * Other people's tables: would they drop what ours lets in, or send our clients elsewhere? They are
 * only read; what is to be done is said as a command to be copied.
 */
#include "cleanup.h"
#include "doctor_checks.h"
#include "firewall.h"
#include "foreign.h"

#include <string.h>

struct others {
    const struct doctor *doctor;
    struct text drops, fine, nat; /* names, and for the first what to add */
    unsigned n_drops, n_fine, n_nat;
};

static void name_chain(const struct foreign_chain *chain, struct text *piece)
{
    text_format(piece, "\"%s ", chain->family);
    text_add_printable(piece, chain->table, strlen(chain->table));
    text_add(piece, " ");
    text_add_printable(piece, chain->chain, strlen(chain->chain));
    text_add(piece, "\"");
}

/* A name that may stand in a command to be copied. */
static bool is_plain(const char *name)
{
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] ==
           '\0';
}

/* Everything that shares own carries their mark, and our table has judged it before. */
static void add_remedy(const struct foreign_chain *chain, uint32_t prefix, struct text *piece)
{
    bool iptables = strcmp(chain->table, "filter") == 0 && strcmp(chain->family, "inet") != 0 &&
                    (strcmp(chain->chain, "INPUT") == 0 || strcmp(chain->chain, "OUTPUT") == 0);
    if (iptables) {
        text_format(piece, "'%s -I %s -m connmark --mark 0x%02x000000/0xff000000 -j ACCEPT'",
                    strcmp(chain->family, "ip6") == 0 ? "ip6tables" : "iptables", chain->chain,
                    prefix);
    } else if (is_plain(chain->table) && is_plain(chain->chain)) {
        text_format(piece,
                    "'nft insert rule %s %s %s ct mark and 0xff000000 == 0x%02x000000 accept'",
                    chain->family, chain->table, chain->chain, prefix);
    } else {
        text_format(piece, "the rule 'ct mark and 0xff000000 == 0x%02x000000 accept'", prefix);
    }
}

static void look_at_filter(const struct foreign_chain *chain, struct others *others)
{
    CLEANUP_TEXT struct text piece = {0};
    bool passes =
        chain->by_mark || (chain->by_state && (chain->by_dnat || chain->hook == FOREIGN_OUTPUT));
    name_chain(chain, &piece);
    if (passes) {
        doctor_add_piece(&others->fine, &others->n_fine, piece.data != NULL ? piece.data : "?");
        return;
    }
    text_add(&piece, " needs ");
    add_remedy(chain, others->doctor->settings->mark_prefix, &piece);
    doctor_add_piece(&others->drops, &others->n_drops, piece.data != NULL ? piece.data : "?");
}

static void look_at_chain(const struct foreign_chain *chain, void *user_data)
{
    struct others *others = user_data;
    if (!chain->nat && chain->refuses && chain->hook != FOREIGN_PREROUTING) {
        look_at_filter(chain, others);
    }
    if (chain->nat && chain->hook == FOREIGN_PREROUTING &&
        chain->priority <= FIREWALL_NAT_PRIORITY) {
        CLEANUP_TEXT struct text piece = {0};
        name_chain(chain, &piece);
        doctor_add_piece(&others->nat, &others->n_nat, piece.data != NULL ? piece.data : "?");
    }
}

/* False when says has why not. */
static bool look_at_others(const struct doctor *doctor, struct others *others, struct text *says)
{
    if (!doctor->live || !doctor->privileged) {
        text_add(says, "only root can see other tables; run 'sudo cdss doctor'");
        return false;
    }
    int error = foreign_chains(look_at_chain, others);
    if (error < 0) {
        text_format(says, "the kernel does not list its tables: %s", strerror(-error));
        return false;
    }
    return true;
}

static void free_others(struct others *others)
{
    text_free(&others->drops);
    text_free(&others->fine);
    text_free(&others->nat);
}

enum doctor_result doctor_check_foreign(const struct doctor *doctor, struct text *says)
{
    struct others others = {.doctor = doctor};
    enum doctor_result result = DOCTOR_NOTE;
    if (look_at_others(doctor, &others, says)) {
        result = others.n_drops > 0 ? DOCTOR_WARN : DOCTOR_OK;
        if (others.n_drops > 0) {
            text_format(says,
                        "what a firewall of this host does not know it drops, our clients too: %s; "
                        "add that to its own configuration as well, or it is gone with its next "
                        "reload",
                        text_ok(&others.drops) ? others.drops.data : "?");
        } else if (others.n_fine > 0) {
            text_format(says, "%s drops by default, and accepts what is of shares",
                        text_ok(&others.fine) ? others.fine.data : "?");
        } else {
            text_add(says, "no other nftables chain drops by default");
        }
    }
    free_others(&others);
    return result;
}

enum doctor_result doctor_check_foreign_nat(const struct doctor *doctor, struct text *says)
{
    struct others others = {.doctor = doctor};
    enum doctor_result result = DOCTOR_NOTE;
    if (look_at_others(doctor, &others, says)) {
        result = others.n_nat > 0 ? DOCTOR_WARN : DOCTOR_OK;
        if (others.n_nat > 0) {
            text_format(says,
                        "%s translates addresses before our redirects (priority dstnat - 10): "
                        "clients that it sends elsewhere do not reach their share",
                        text_ok(&others.nat) ? others.nat.data : "?");
        } else {
            text_add(says, "nothing translates addresses before our redirects");
        }
    }
    free_others(&others);
    return result;
}
